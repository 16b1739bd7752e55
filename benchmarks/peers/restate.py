"""Restate over HTTP: its server from npm, its Python SDK behind hypercorn."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from stack.figures import Figures

from peers.in_process import PROGRAMS, peers_python
from peers.registry import NotInstalled, Options
from peers.served import measure_paths, wait_for


def measure(options: Options) -> Iterator[Figures]:
    """Each workload is a handler; what Treadle runs as nodes are its steps."""
    python = peers_python("restate", "hypercorn", "httpx")
    server = _server()
    ingress, admin, node, app = (options.port + offset for offset in range(4))
    folder = options.home / "restate"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
        "RESTATE_BASE_DIR": str(folder),
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "warn",
        "MODEL_URL": options.model_url,
    }
    with (options.home / "restate.log").open("wb") as log:
        handlers = subprocess.Popen(
            [python, str(PROGRAMS / "restate_app.py"), str(app)],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        process = subprocess.Popen([server], env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{admin}/health")
        wait_for(f"http://127.0.0.1:{app}/discover")
        _register(admin, app)
        base = f"http://127.0.0.1:{ingress}/Bench"
        wait_for(f"http://127.0.0.1:{ingress}/restate/health")
        yield from measure_paths(options, base, [process.pid, handlers.pid], stack="restate")
    finally:
        handlers.kill()  # hypercorn waits for connections that nobody closes
        process.terminate()
        process.wait(30)
        handlers.wait(30)


def _server() -> str:
    folder = os.environ.get("PEERS_RESTATE")
    found = (
        sorted(Path(folder).glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
        if folder
        else []
    )
    if not found:
        raise NotInstalled("PEERS_RESTATE names no folder with @restatedev/restate-server")
    return str(found[0])


def _register(admin: int, app: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments",
        data=json.dumps({"uri": f"http://127.0.0.1:{app}"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()
