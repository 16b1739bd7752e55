"""The service needs no superuser: an owner of the database will do, if it has the two roles."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from treadle.platform.auth.callers import KeyRing
from treadle.platform.auth.scopes import ALL_SCOPES
from treadle.platform.db.database import Database
from treadle.platform.db.errors import DatabaseUnfit
from treadle.platform.db.migrate import migrate
from treadle.platform.installation import installation_secret
from treadle.platform.settings import Settings
from treadle.platform.workspaces.service import bootstrap

pytestmark = pytest.mark.slow


@pytest.fixture
def plain_owner(postgres_url: str, empty_database_url: str, database_url: str) -> Iterator[str]:
    """A user who owns one empty database and may do nothing else."""
    assert database_url  # migrated: the server has the two roles already
    user, database = f"owner_{uuid4().hex}", empty_database_url.partition("/treadle_")[2]
    database = "treadle_" + database.partition("?")[0]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{user}" LOGIN'.encode())
        connection.execute(f'ALTER DATABASE "{database}" OWNER TO "{user}"'.encode())
    yield user
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f'REASSIGN OWNED BY "{user}" TO postgres'.encode())
        connection.execute(f'DROP OWNED BY "{user}"'.encode())
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP ROLE "{user}"'.encode())


def test_a_user_without_the_roles_is_told_what_to_do(
    empty_database_url: str, plain_owner: str
) -> None:
    url = empty_database_url.replace("postgres:@", f"{plain_owner}:@")
    with pytest.raises(DatabaseUnfit) as refused:
        migrate(url)
    assert f"GRANT treadle_app, treadle_engine TO {plain_owner}" in refused.value.message


async def test_a_plain_owner_with_the_roles_runs_the_service(
    postgres_url: str, empty_database_url: str, plain_owner: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        grant = f'GRANT treadle_app, treadle_engine TO "{plain_owner}"'
        connection.execute(grant.encode())
    url = empty_database_url.replace("postgres:@", f"{plain_owner}:@")
    migrate(url)
    settings = Settings(home=tmp_path, database_url=url)
    database = Database(url)
    path = await bootstrap(database, settings)
    ring = KeyRing(database, installation_secret(settings))
    caller = await ring.authenticate(f"Bearer {path.read_text().strip()}")
    assert caller.scopes == ALL_SCOPES
    async with database.tenant(caller.workspace) as connection:
        rows = (await connection.execute(text("SELECT name FROM api_keys"))).all()
    assert [row.name for row in rows] == ["admin"]
    async with database.engine.begin() as as_owner:  # FORCE holds for the owner too
        assert (await as_owner.execute(text("SELECT * FROM connections"))).all() == []
        with pytest.raises(ProgrammingError, match="row-level security"):
            await as_owner.execute(text("INSERT INTO workspaces VALUES (gen_random_uuid(), 'x')"))
    await database.close()
