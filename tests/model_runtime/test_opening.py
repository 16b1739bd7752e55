"""`serve --tensor-parallel 2`: the command as it is typed, from its start to its end."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

TINY = Path(__file__).parents[2] / "model_runtime" / "training" / "tiny"
BODY = {"model": "tiny", "prompt": "Remind me to", "max_tokens": 24, "temperature": 0}


@pytest.mark.slow
def test_two_ranks_serve_as_one() -> None:
    assert answer(2) == answer(1)


def answer(ranks: int) -> str:
    """What a server of so many ranks answers; it ends by SIGTERM and leaves nothing behind."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "treadle.model_runtime"]
    command += ["serve", "--model", str(TINY), "--port", str(port)]
    command += ["--tensor-parallel", str(ranks), "--cache-tokens", "1024"]
    # In bfloat16 parts are rounded before they are summed, and a close choice may turn.
    command += ["--dtype", "float32"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return ask(f"http://127.0.0.1:{port}", process)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(60)
        assert not group(process.pid), "a rank was left behind"


def ask(url: str, process: subprocess.Popen[bytes]) -> str:
    deadline = monotonic() + 120
    while monotonic() < deadline and process.poll() is None:
        try:
            found = httpx.post(f"{url}/v1/completions", json=BODY, timeout=60).json()
        except httpx.ConnectError:
            sleep(0.2)
            continue
        return str(found["choices"][0]["text"])
    raise AssertionError(f"no answer; the server's code is {process.poll()}")


def group(leader: int) -> list[int]:
    """Living processes of a group."""
    listed = subprocess.run(
        ["/bin/ps", "-eo", "pid,pgid,stat"], capture_output=True, text=True, check=True
    )
    rows = re.findall(r"(\d+)\s+(\d+)\s+(\S+)", listed.stdout)
    return [int(pid) for pid, of, state in rows if int(of) == leader and state[0] != "Z"]
