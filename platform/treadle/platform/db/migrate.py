"""Bring a database to the tables this version needs; every process calls it at start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from treadle.platform.db.database import driver_url
from treadle.platform.db.errors import DatabaseUnfit
from treadle.platform.db.rls import APP_ROLE, ENGINE_ROLE

OLDEST_POSTGRES = 150000  # as `server_version_num`: PostgreSQL 15
_LOCK = 7_287_323_533  # any number that no other program locks: "treadle" typed on a telephone


def migrate(url: str) -> None:
    """Apply what is missing. Processes that start together wait for each other."""
    engine = create_engine(driver_url(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _refuse_old(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise DatabaseUnfit(_privileges_needed(driver_url(url).username, error.orig)) from error
    finally:
        engine.dispose()


def newest_revisions() -> frozenset[str]:
    """The revisions this version needs."""
    return frozenset(ScriptDirectory.from_config(_config()).get_heads())


def present_revisions(connection: Connection) -> frozenset[str]:
    """The revisions a database has; run under the connecting user or either role."""
    return frozenset(MigrationContext.configure(connection).get_current_heads())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _refuse_old(connection: Connection) -> None:
    number = connection.execute(
        text("SELECT current_setting('server_version_num')::int")
    ).scalar_one()
    if number < OLDEST_POSTGRES:
        raise DatabaseUnfit(
            f"PostgreSQL {number // 10000} is too old:"
            f" Treadle needs {OLDEST_POSTGRES // 10000} or newer"
        )


def _privileges_needed(user: str | None, cause: InsufficientPrivilege) -> str:
    return (
        f"the database user {user!r} may not prepare the database ({cause}): let it create roles "
        f"(ALTER ROLE … CREATEROLE) and own the database, or make the roles once as a superuser: "
        f"CREATE ROLE {APP_ROLE} NOLOGIN; CREATE ROLE {ENGINE_ROLE} NOLOGIN; "
        f"GRANT {APP_ROLE}, {ENGINE_ROLE} TO {user}"
    )
