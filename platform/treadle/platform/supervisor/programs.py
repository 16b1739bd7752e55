"""Our own processes as programs: the API, a worker and a scheduler."""

import sys
from datetime import timedelta

from treadle.platform.embedded.program import Entry, IsReady, Program
from treadle.platform.settings import Settings
from treadle.platform.supervisor.checks import answers_ok, is_registered

API_MODULE = "treadle.platform.supervisor.api"
WORKERS_MODULE = "treadle.workers.__main__"
"""By name: what is above the platform is never imported by it."""


def api_program(settings: Settings) -> Program:
    """Return the API, ready when it says so itself at `/readyz`."""
    return _python(
        "api",
        Entry(API_MODULE),
        is_ready=answers_ok(f"{settings.url}/readyz"),
        grace=timedelta(seconds=10),
    )


def worker_program(database_url: str, *, name: str) -> Program:
    """Return a worker, ready when it has announced itself in the database."""
    return _python(
        "worker",
        Entry(WORKERS_MODULE, ("worker", "--name", name)),
        is_ready=is_registered(database_url, name),
        grace=timedelta(seconds=40),  # its own limit for handing over is shorter
    )


def scheduler_program() -> Program:
    """Return a scheduler; nothing waits for it."""
    return _python(
        "scheduler",
        Entry(WORKERS_MODULE, ("scheduler",)),
        is_ready=_at_once,
        grace=timedelta(seconds=10),
    )


def _python(name: str, entry: Entry, *, is_ready: IsReady, grace: timedelta) -> Program:
    argv = (sys.executable, "-m", entry.module, *entry.args)
    return Program(name=name, argv=argv, is_ready=is_ready, entry=entry, grace=grace)


async def _at_once() -> bool:
    return True
