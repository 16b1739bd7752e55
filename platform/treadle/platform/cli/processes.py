"""`treadle api`, `treadle worker`, `treadle scheduler`: one process each, in place of this one."""

import os
import sys
from typing import Annotated

import typer

from treadle.platform.cli.printing import new_app
from treadle.platform.embedded.home import Home
from treadle.platform.settings import Settings
from treadle.platform.supervisor.errors import NothingRuns
from treadle.platform.supervisor.record import read_record

api = new_app()
worker = new_app()
scheduler = new_app()


@api.command("api")
def run_api() -> None:
    """Run an API process on HOST and PORT. Start as many as needed: it keeps nothing."""
    _become("treadle.platform.supervisor.api")


@worker.command("worker")
def run_worker(
    name: Annotated[
        str | None,
        typer.Option(help="The same after every restart: the runs of this name come back at once."),
    ] = None,
) -> None:
    """Run a worker."""
    _become("treadle.workers", "worker", *(["--name", name] if name else []))


@scheduler.command("scheduler")
def run_scheduler() -> None:
    """Run a scheduler. Several may run: each thing is done by one of them."""
    _become("treadle.workers", "scheduler")


def _become(module: str, *args: str) -> None:
    """Replace this process, so that signals and the exit code are those of the program."""
    found = _databases(Settings())
    argv = [sys.executable, "-m", module, *args]
    os.execve(sys.executable, argv, {**os.environ, **found})  # noqa: S606 - no shell on purpose


def _databases(settings: Settings) -> dict[str, str]:
    """Return the URLs that are not set, from what runs under HOME."""
    if settings.database_url is not None and settings.redis_url is not None:
        return {}
    home = Home.at(settings.home)
    record = read_record(home)
    if record is None:
        raise NothingRuns(home.root)
    return {
        "TREADLE_HOME": str(home.root),
        "TREADLE_DATABASE_URL": settings.database_url or record.database_url,
        "TREADLE_REDIS_URL": settings.redis_url or record.redis_url,
    }
