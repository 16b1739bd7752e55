"""`treadle up`: what is started in what order, what is said, and how it ends."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass

from treadle.platform.embedded.home import Home
from treadle.platform.embedded.postgres import Postgres, prepare_postgres
from treadle.platform.embedded.program import Program
from treadle.platform.embedded.sockets import is_free
from treadle.platform.embedded.valkey import prepare_valkey
from treadle.platform.settings import Settings
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.cradle import Cradle, fork_cradle
from treadle.platform.supervisor.errors import PortTaken
from treadle.platform.supervisor.fleet import Fleet
from treadle.platform.supervisor.leftovers import MARK, end_leftovers
from treadle.platform.supervisor.lock import held_home
from treadle.platform.supervisor.model import ModelChoice, choose_model
from treadle.platform.supervisor.nurse import Nurse
from treadle.platform.supervisor.programs import (
    API_MODULE,
    WORKERS_MODULE,
    api_program,
    scheduler_program,
    worker_program,
)
from treadle.platform.supervisor.record import Record, write_record

_MODULES = (API_MODULE, WORKERS_MODULE)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Databases:
    """Where the databases are, and the programs that are needed for that."""

    database_url: str
    redis_url: str
    programs: tuple[Program, ...]
    notes: tuple[str, ...] = ()


def up(settings: Settings, console: Console) -> None:
    """Run everything until SIGINT or SIGTERM.

    Raises:
        SupervisorError: It does not start: HOME is taken or unfit, or the port is.
        EmbeddedError: PostgreSQL or Valkey cannot run here.
    """
    # First of all, as importing takes longer than all the rest. Elsewhere than on Linux forking
    # what has imported the system's libraries is not safe.
    cradle = fork_cradle(_MODULES) if sys.platform == "linux" else None
    home = Home.at(settings.home)
    with held_home(home):
        left = end_leftovers(home)
        if left:
            console.say(f"{left} process(es) of a supervisor that was killed have been ended")
        if not is_free(settings.port, settings.host):
            raise PortTaken(settings.host, settings.port)
        asyncio.run(_supervise(settings, home, console, cradle))


async def _supervise(
    settings: Settings, home: Home, console: Console, cradle: Cradle | None
) -> None:
    started = time.monotonic()
    stop = _Stop(console)
    model = choose_model(settings, home)
    nurse = None if cradle is None else Nurse(*_MODULES, cradle=cradle, console=console)
    fleet = Fleet(nurse, console=console)
    try:
        await stop.unless_before(_bring(fleet, settings, home, console, model))
        if not stop.is_asked:
            _greet(settings, home, console, seconds=time.monotonic() - started)
            console.say(f"model: {model.notice}")
            # Now, and not waited for: importing torch would keep everything else from its work.
            fleet.begin(*model.programs, env=_marked(home))
        await stop.first.wait()
    finally:
        await _end(fleet, stop, console)


class _Stop:
    """The wish to stop, from the terminal or the system; a second one is impatience."""

    def __init__(self, console: Console) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._console = console
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._ask)

    @property
    def is_asked(self) -> bool:
        return self.first.is_set()

    async def unless_before(self, work: Coroutine[None, None, None]) -> None:
        """Do the work, or leave it when the wish comes first."""
        working = asyncio.ensure_future(work)
        asking = asyncio.ensure_future(self.first.wait())
        await asyncio.wait([working, asking], return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        if working.done():
            working.result()
        working.cancel()

    def _ask(self) -> None:
        if self.is_asked:
            self.second.set()
        else:
            self._console.say("stopping")
            self.first.set()


def _prepare(settings: Settings, home: Home) -> Databases:
    programs: list[Program] = []
    notes: list[str] = []
    database_url, redis_url = settings.database_url, settings.redis_url
    if database_url is None:
        postgres = prepare_postgres(home)
        notes.extend(_opened(postgres))
        programs.append(postgres.program())
        database_url = postgres.url
    if redis_url is None:
        valkey = prepare_valkey(home)
        programs.append(valkey.program())
        redis_url = valkey.url
    return Databases(database_url, redis_url, tuple(programs), tuple(notes))


def _opened(postgres: Postgres) -> list[str]:
    if postgres.account is None:
        return []
    return [
        f"PostgreSQL does not run as root: the user {postgres.account.name!r} may now pass"
        f" {str(folder)!r} (an access control list entry; nobody else gains anything)"
        for folder in postgres.opened
    ]


async def _bring(
    fleet: Fleet, settings: Settings, home: Home, console: Console, model: ModelChoice
) -> None:
    databases = await asyncio.to_thread(_prepare, settings, home)
    for note in databases.notes:
        console.say(note)
    env = {**_environment(settings, home, databases), **model.env}
    fleet.begin(*databases.programs, env=env)
    await fleet.wait_ready()
    write_record(
        home,
        Record(
            pid=os.getpid(),
            api_url=settings.url,
            database_url=databases.database_url,
            redis_url=databases.redis_url,
            model_url=model.url,
        ),
    )
    # All at once, though the API brings the tables that the others use: each waits for them.
    fleet.begin(api_program(settings), env=env)
    fleet.begin(
        worker_program(databases.database_url, name=_worker_name(settings)),
        scheduler_program(),
        env=env,
    )
    await fleet.wait_ready()


async def _end(fleet: Fleet, stop: _Stop, console: Console) -> None:
    ending = asyncio.ensure_future(fleet.end())
    impatient = asyncio.ensure_future(stop.second.wait())
    await asyncio.wait([ending, impatient], return_when=asyncio.FIRST_COMPLETED)
    impatient.cancel()
    if not ending.done():
        console.say("killing what has not stopped yet")
        await fleet.kill()
    await ending
    console.say("stopped")


def _worker_name(settings: Settings) -> str:
    # With a database of its own the home has all its workers; else other machines have some, too.
    where = "local" if settings.database_url is None else socket.gethostname()
    return f"{where}-1"


def _environment(settings: Settings, home: Home, databases: Databases) -> dict[str, str]:
    """Return what children see beside our own environment."""
    return {
        **_marked(home),
        "TREADLE_HOME": str(home.root),
        "TREADLE_HOST": settings.host,
        "TREADLE_PORT": str(settings.port),
        "TREADLE_DATABASE_URL": databases.database_url,
        "TREADLE_REDIS_URL": databases.redis_url,
    }


def _marked(home: Home) -> dict[str, str]:
    return {"PYTHONUNBUFFERED": "1", MARK: str(home.root)}


def _greet(settings: Settings, home: Home, console: Console, *, seconds: float) -> None:
    url = settings.url
    console.say(f"ready at {url} after {seconds:.1f} s; Ctrl-C stops everything")
    console.say(f"admin key: {home.admin_key}")
    console.say(f"API: {url}/docs")
