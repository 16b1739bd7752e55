"""Our own processes as programs: the API, a worker and a scheduler."""

import sys
from datetime import timedelta

from treadle.platform.embedded.program import Program
from treadle.platform.settings import Settings
from treadle.platform.supervisor.checks import answers_ok, is_registered


def api_program(settings: Settings) -> Program:
    """Return the API, ready when it says so itself at `/readyz`."""
    return Program(
        name="api",
        argv=(sys.executable, "-m", "treadle.platform.supervisor.api"),
        is_ready=answers_ok(f"{settings.url}/readyz"),
        grace=timedelta(seconds=10),
    )


def worker_program(database_url: str, *, name: str) -> Program:
    """Return a worker, ready when it has announced itself in the database."""
    return Program(
        name="worker",
        argv=(sys.executable, "-m", "treadle.workers", "worker", "--name", name),
        is_ready=is_registered(database_url, name),
        grace=timedelta(seconds=40),  # its own limit for handing over is shorter
    )


def scheduler_program() -> Program:
    """Return a scheduler; nothing waits for it."""
    return Program(
        name="scheduler",
        argv=(sys.executable, "-m", "treadle.workers", "scheduler"),
        is_ready=_at_once,
        grace=timedelta(seconds=10),
    )


async def _at_once() -> bool:
    return True
