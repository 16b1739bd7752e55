"""Cached results last as long as they were told to, and stay in their workspace."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from tests.platform.conftest import NewTenant, Tenant

from treadle.agents.values import JsonValue
from treadle.platform.cache.models import step_cache
from treadle.platform.cache.service import WorkspaceCache
from treadle.platform.db.database import Database

pytestmark = pytest.mark.slow
WEEK = timedelta(days=7)


@pytest.fixture
async def tenant(new_tenant: NewTenant) -> Tenant:
    return await new_tenant()


@pytest.fixture
def cache(database: Database, tenant: Tenant) -> WorkspaceCache:
    return WorkspaceCache(database, tenant.id)


async def test_what_is_kept_is_found_again(cache: WorkspaceCache) -> None:
    assert await cache.get("k") is None
    value: JsonValue = {"output": ["\x00", 1.5, None, {"é": True}], "reasoning": None}
    await cache.put("k", value, lasts=WEEK)
    assert await cache.get("k") == value
    await cache.put("k", {"output": 2}, lasts=WEEK)
    assert await cache.get("k") == {"output": 2}


async def test_its_time_ends_and_the_next_one_clears_it_away(
    cache: WorkspaceCache, database: Database, tenant: Tenant
) -> None:
    await cache.put("old", {"output": 1}, lasts=timedelta(seconds=-1))
    assert await cache.get("old") is None
    await cache.put("new", {"output": 2}, lasts=WEEK)
    async with database.tenant(tenant.id) as tx:
        assert list(await tx.scalars(select(step_cache.c.key))) == ["new"]


async def test_another_workspace_finds_nothing(
    cache: WorkspaceCache, database: Database, new_tenant: NewTenant
) -> None:
    await cache.put("k", {"output": 1}, lasts=WEEK)
    other = await new_tenant()
    assert await WorkspaceCache(database, other.id).get("k") is None
    async with database.tenant(other.id) as tx:
        assert (await tx.execute(text("SELECT count(*) FROM step_cache"))).scalar_one() == 0
