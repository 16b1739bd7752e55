"""Bring a database to the tables this version needs; every process calls it at start."""

from pathlib import Path

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from treadle.platform.db.database import driver_url
from treadle.platform.db.errors import DatabaseUnfit
from treadle.platform.db.rls import APP_ROLE, ENGINE_ROLE

_MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST_POSTGRES = 150000  # as `server_version_num`: PostgreSQL 15
_LOCK = 7_287_323_533  # any number that no other program locks: "treadle" typed on a telephone


def migrate(url: str) -> None:
    """Apply what is missing. Processes that start together wait for each other."""
    engine = create_engine(driver_url(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            _refuse_old(connection)
            if present_revisions(connection) == newest_revisions():
                return
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _upgrade(connection)
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise DatabaseUnfit(_privileges_needed(driver_url(url).username, error.orig)) from error
    finally:
        engine.dispose()


def newest_revisions() -> frozenset[str]:
    """The revisions this version needs: one, as each migration follows the one before."""
    newest = max(file.name for file in _MIGRATIONS.glob("versions/m*.py"))
    return frozenset([newest.removeprefix("m").partition("_")[0]])


def present_revisions(connection: Connection) -> frozenset[str]:
    """The revisions a database has; run under the connecting user or either role."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return frozenset()
    return frozenset(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def _upgrade(connection: Connection) -> None:
    # Most starts find nothing to do, and Alembic takes 11 MB and a tenth of a second.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


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
