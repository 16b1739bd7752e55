"""A real `treadle up`, the sinks around it, and the axe."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from tests.chaos.rest import Rest
from tests.chaos.sink import Sink
from tests.chaos.spending import SpendingLedger
from tests.platform.supervisor.installation import Installation, wait_until

LEASE_S = 15.0
"""After so long without a beat a worker counts as dead; `engine.liveness.DEAD_AFTER_S`."""
START_WITHIN_S = 300.0
_PAUSE_S = 0.02


@dataclass
class World:
    """One service and what is around it.

    Attributes:
        pids: The last known process of each child, by its name.
    """

    service: Installation
    sink: Sink
    models: SpendingLedger
    rest: Rest
    pids: dict[str, int] = field(default_factory=dict[str, int])

    def pid(self, name: str, *, within_s: float = 60.0) -> int:
        """The process that is this child now."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            with suppress(StopIteration, psutil.Error):
                self.pids[name] = self.service.child(name).pid
                return self.pids[name]
            time.sleep(_PAUSE_S)
        raise AssertionError(f"there is no {name} within {within_s:g} s")

    def kill(self, name: str) -> int:
        """Kill -9 a child; returns the number it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_known(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal the process last seen under this name, at once: nothing is looked up."""
        with suppress(ProcessLookupError):
            os.kill(self.pids[name], number)

    def replaced(self, name: str, pid: int, *, within_s: float = 60.0) -> int:
        """Wait until another process has this name; returns its number."""
        until = time.monotonic() + within_s
        while (found := self.pid(name, within_s=within_s)) == pid:
            assert time.monotonic() < until, f"{name} {pid} is still there"
            time.sleep(_PAUSE_S)
        return found

    def wait_ready(self) -> None:
        """Wait until the API says that it is ready."""
        wait_until(self.service.is_ready, "the service is ready")

    def is_answering(self) -> bool:
        """Whether the API answers just now."""
        try:
            return self.rest.send("GET", "/healthz").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def inputs(self) -> dict[str, str]:
        """What every scenario is given beside its tag."""
        return {"sink": self.sink.url}


def begin(service: Installation) -> None:
    """Start it, on a machine that may have much else to do."""
    process = service.begin()
    wait_until(
        lambda: service.has_said("ready at") or process.poll() is not None,
        "ready",
        within_s=START_WITHIN_S,
    )
    assert process.poll() is None, "".join(service.lines)


@contextmanager
def world(
    *,
    port: int | None = None,
    patience_s: float = 90.0,
    base: Path | None = None,
    **environment: str,
) -> Generator[World]:
    """Start everything in a home of its own, below `base`, and end it without a trace."""
    # For root, pytest's own folder is closed to the user who runs PostgreSQL then.
    home = Path(tempfile.mkdtemp(prefix="treadle-chaos-", dir=base))
    try:
        with Sink() as sink, SpendingLedger() as models:
            own = {
                "TREADLE_MODEL_URL": models.url,
                "TREADLE_EGRESS_ALLOW": "127.0.0.1/32",
                **environment,
            }
            service = Installation(home / "home", env=own)
            if port is not None:
                service.port = port
            try:
                begin(service)
                key = (service.root / "admin.key").read_text().strip()
                rest = Rest(f"http://127.0.0.1:{service.port}", key, patience_s=patience_s)
                yield World(service, sink, models, rest)
                rest.close()
            finally:
                service.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
