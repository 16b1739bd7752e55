"""A real `treadle up` for tests: started in a home of its own, read line by line."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from treadle.platform.client import Client, ClientError, local_endpoint
from treadle.platform.embedded.home import Home
from treadle.platform.embedded.sockets import free_port
from treadle.platform.settings import Settings
from treadle.platform.supervisor.leftovers import MARK
from treadle.platform.supervisor.record import Record, read_record

PATIENCE_S = 60.0


def wait_until(holds: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)


@dataclass
class Installation:
    """One home, and the `treadle up` that runs in it now."""

    root: Path
    env: dict[str, str] = field(default_factory=dict[str, str])
    port: int = field(default_factory=free_port)
    lines: list[str] = field(default_factory=list[str])
    process: subprocess.Popen[str] | None = None

    @property
    def settings(self) -> Settings:
        return Settings(home=self.root, port=self.port)

    @property
    def record(self) -> Record:
        record = read_record(Home.at(self.root))
        assert record is not None
        return record

    def client(self) -> Client:
        endpoint = local_endpoint(self.settings)
        return Client(endpoint.url, endpoint.key)

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run another `treadle` command in this home."""
        return subprocess.run(
            [sys.executable, "-m", "treadle.platform.cli", *args],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def start(self) -> None:
        process = self.begin()
        wait_until(lambda: self.has_said("ready at") or process.poll() is not None, "ready")
        assert process.poll() is None, "\n".join(self.lines)

    def begin(self) -> subprocess.Popen[str]:
        """Start without waiting until it is ready."""
        self.lines.clear()
        process = subprocess.Popen(
            [sys.executable, "-m", "treadle.platform.cli", "up"],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.process = process
        threading.Thread(target=self._read, args=[process], daemon=True).start()
        return process

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def signal(self, number: signal.Signals) -> int:
        """Signal the supervisor and wait for its end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def child(self, name: str) -> psutil.Process:
        """The process that has a child's name now."""
        assert self.process is not None
        return next(one for one in self.family() if _is_named(one, name))

    def family(self) -> list[psutil.Process]:
        """The supervisor and all that it started."""
        assert self.process is not None
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this home and lives."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def is_ready(self) -> bool:
        try:
            with self.client() as client:
                return client.get_readiness().ready
        except ClientError:
            return False

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGTERM)

    def environment(self) -> dict[str, str]:
        own = {
            "TREADLE_HOME": str(self.root),
            "TREADLE_PORT": str(self.port),
            "TREADLE_EMBEDDED_MODEL": "false",
        }
        return {**os.environ, **own, **self.env}

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            marked = process.environ().get(MARK) == str(self.root)
            return marked or any(str(self.root) in word for word in process.cmdline())
        except psutil.Error:
            return False


def _is_named(process: psutil.Process, name: str) -> bool:
    try:
        if process.name() == f"treadle-{name}"[:15]:  # the kernel keeps 15 characters of a name
            return True
        words = process.cmdline()
    except psutil.Error:
        return False
    parts = {"postgres": "bin/postgres", "valkey": "valkey-server"}
    is_forked = process.name().startswith("treadle-")
    return name in parts and not is_forked and any(parts[name] in word for word in words)
