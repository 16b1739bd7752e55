"""The first start makes a workspace and its key; later ones find them."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from treadle.platform.auth.callers import KeyRing
from treadle.platform.auth.scopes import ALL_SCOPES
from treadle.platform.db.database import Database
from treadle.platform.installation import installation_secret
from treadle.platform.settings import Settings
from treadle.platform.workspaces.service import bootstrap, create_workspace_key

pytestmark = pytest.mark.slow


async def test_the_first_start_makes_the_admin_key(fresh_database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database_url=fresh_database_url)
    database = Database(fresh_database_url)
    path = await bootstrap(database, settings)
    assert path == tmp_path / "home" / "admin.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home" / "secret.key").stat().st_mode & 0o777 == 0o600
    ring = KeyRing(database, installation_secret(settings))
    key = path.read_text().strip()
    assert (await ring.authenticate(f"Bearer {key}")).scopes == ALL_SCOPES
    await bootstrap(database, settings)
    assert path.read_text().strip() == key
    await database.close()


async def test_a_home_with_a_new_database_gets_a_new_key(
    fresh_database_url: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, database_url=fresh_database_url)
    (tmp_path / "admin.key").write_text("trd_of_another_database\n")
    database = Database(fresh_database_url)
    path = await bootstrap(database, settings)
    ring = KeyRing(database, installation_secret(settings))
    caller = await ring.authenticate(f"Bearer {path.read_text().strip()}")
    assert caller.scopes == ALL_SCOPES
    await database.close()


async def test_a_workspace_made_twice_at_once_is_one(
    database: Database, settings: Settings
) -> None:
    ring = KeyRing(database, installation_secret(settings))
    keys = await asyncio.gather(
        *(create_workspace_key(database, settings, workspace="made-twice") for _ in range(4))
    )
    callers = [await ring.authenticate(f"Bearer {key}") for key in keys]
    assert len({caller.workspace for caller in callers}) == 1


def test_a_short_secret_stops_the_start(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, secret_key=SecretStr("short"))
    with pytest.raises(ValueError, match="TREADLE_SECRET_KEY has 5 characters, it needs 16"):
        installation_secret(settings)
