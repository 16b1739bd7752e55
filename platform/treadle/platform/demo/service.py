"""A Treadle for the demo: `treadle up` as a child process, on free ports, in its own home."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from treadle.platform.client import Client, ClientError, Endpoint, local_endpoint
from treadle.platform.demo.errors import DemoFailed
from treadle.platform.demo.sites import SampleWeb
from treadle.platform.embedded.home import Home
from treadle.platform.embedded.sockets import free_port
from treadle.platform.settings import Settings
from treadle.platform.supervisor.record import read_record
from treadle.platform.supervisor.tether import tether

_START_S = 90.0  # the first start makes a database; on a slow disk that takes its time
_STOP_S = 30.0
_LOOK_S = 0.1
_UP = "from treadle.platform.cli import main; main(['up'])"
_LOG_LINES = 12


@contextmanager
def service_for(web: SampleWeb, settings: Settings) -> Generator[Endpoint]:
    """The service that runs in this home already, else one of our own that ends with the block.

    Raises:
        DemoFailed: It does not start.
    """
    if read_record(Home.at(settings.home)) is not None:
        yield local_endpoint(settings)
        return
    with _started(web, settings) as endpoint:
        yield endpoint


@contextmanager
def _started(web: SampleWeb, settings: Settings) -> Generator[Endpoint]:
    home = Home.at(settings.home)
    try:
        home.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoFailed(f"cannot use {home.root}: {error.strerror}") from error
    log = home.root / "demo.log"
    own = settings.model_copy(update={"port": free_port(), "host": "127.0.0.1", "api_url": None})
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the demo alone, which then stops this in order.
        process = subprocess.Popen(
            [sys.executable, "-c", _UP],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(web, own),
            start_new_session=True,
            preexec_fn=tether(signal.SIGTERM, parent=os.getpid()),
        )
    try:
        yield _ready(process, own, log)
    finally:
        _stop(process)


def _environment(web: SampleWeb, settings: Settings) -> dict[str, str]:
    """Our environment, passed on unread, with this home and the sample servers allowed."""
    allowed = [settings.egress_allow, *web.addresses] if settings.egress_allow else web.addresses
    return {
        **os.environ,
        "TREADLE_HOME": str(settings.home),
        "TREADLE_HOST": settings.host,
        "TREADLE_PORT": str(settings.port),
        "TREADLE_EGRESS_ALLOW": ",".join(allowed),
        "TREADLE_SEARCH_URL": web.search_url,
        # The demo shows facts that can be counted again; a model's ideas are none.
        "TREADLE_EMBEDDED_MODEL": "false",
    }


def _ready(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> Endpoint:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise DemoFailed(f"the service did not start:\n{_tail(log)}")
        endpoint = local_endpoint(settings)
        if endpoint.key is not None and _answers(endpoint):
            return endpoint
        time.sleep(_LOOK_S)
    raise DemoFailed(f"the service was not ready after {_START_S:g} s:\n{_tail(log)}")


def _answers(endpoint: Endpoint) -> bool:
    with Client(endpoint.url, endpoint.key) as client:
        try:
            return client.get_readiness().ready
        except ClientError:
            return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end in order; whoever does not within the time is ended."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:])
