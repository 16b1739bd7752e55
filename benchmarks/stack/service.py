"""`treadle up` as its users run it: embedded PostgreSQL and Valkey, API, worker, scheduler."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg

from treadle.platform.embedded.home import Home
from treadle.platform.supervisor.record import read_record

START_S = 120.0


@dataclass(frozen=True)
class Place:
    """A service that runs."""

    url: str
    key: str
    database_url: str
    redis_url: str
    pid: int
    home: Path

    @property
    def headers(self) -> dict[str, str]:
        """What a call carries."""
        return {"Authorization": f"Bearer {self.key}"}

    # Any: JSON as it comes, read by whoever asked for it
    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """One call of the API, its answer as JSON; raises `HTTPError`."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self.headers},
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.loads(answer.read())

    def make_agent(self, name: str, template: str) -> None:
        """Store an agent of this template, if it is not there yet."""
        try:
            self.call("POST", "/v1/agents", {"name": name, "template": template})
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.CONFLICT:
                raise


def write_models(home: Path, url: str) -> None:
    """Tell the service where the models are: one at once, slower ones by name."""
    home.mkdir(parents=True, exist_ok=True)
    pauses = {"slow": 100, "pause": 5000}
    text = f'instant: {{url: "{url}/v1"}}\n' + "".join(
        f'{name}: {{url: "{url}/lat/{pause}/v1"}}\n' for name, pause in pauses.items()
    )
    (home / "models.yaml").write_text(text, encoding="utf-8")


@contextmanager
def running(home: Path, *, port: int, model_url: str, cores: str | None = None) -> Iterator[Place]:
    """Start everything; end it in order."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("TREADLE_")},
        "TREADLE_HOME": str(home),
        "TREADLE_PORT": str(port),
        "TREADLE_MODEL_URL": model_url,
    }
    pinned = [] if cores is None else ["taskset", "-c", cores]
    with (home / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*pinned, sys.executable, "-m", "treadle.platform.cli", "up"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _wait(process, Home.at(home))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", home: Home) -> Place:
    until = time.monotonic() + START_S
    log = home.root / "up.log"
    while time.monotonic() < until and process.poll() is None:
        record = read_record(home)
        if record is not None and " ready at " in log.read_text(encoding="utf-8"):
            return Place(
                url=record.api_url,
                key=home.admin_key.read_text(encoding="ascii").strip(),
                database_url=record.database_url,
                redis_url=record.redis_url,
                pid=record.pid,
                home=home.root,
            )
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start; see {log}")


@contextmanager
def owner(place: Place) -> Iterator[psycopg.Connection]:
    """The database, as who owns it."""
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        yield connection
