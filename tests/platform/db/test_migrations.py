"""Migrations and the declared tables say the same."""

from importlib.resources import files

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine

from treadle.platform.db.database import driver_url
from treadle.platform.db.metadata import metadata
from treadle.platform.db.migrate import migrate, newest_revisions, present_revisions
from treadle.platform.tables import workspaces

pytestmark = pytest.mark.slow


def test_a_migrated_database_has_the_declared_tables(database_url: str) -> None:
    assert workspaces.metadata is metadata
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        options = {"compare_server_default": False, "include_name": _is_no_partition}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert present_revisions(connection) == newest_revisions()


def test_the_newest_file_is_the_only_head() -> None:
    """`newest_revisions` reads file names alone."""
    migrations = files("treadle.platform.db") / "migrations"
    assert newest_revisions() == frozenset(ScriptDirectory(str(migrations)).get_heads())


def test_migrating_again_changes_nothing(empty_database_url: str) -> None:
    migrate(empty_database_url)
    migrate(empty_database_url)
    engine = create_engine(driver_url(empty_database_url), poolclass=NullPool)
    with engine.connect() as connection:
        assert present_revisions(connection) == newest_revisions()


def _is_no_partition(name: str | None, kind: str, _: object) -> bool:
    """A partition is part of a table that is declared."""
    return kind != "table" or not str(name).startswith(("log_", "run_values_"))
