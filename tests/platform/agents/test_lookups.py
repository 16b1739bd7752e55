"""Many look-ups in one statement: each sees its own workspace, as it is after it was asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.platform.conftest import NewTenant, Tenant
from tests.platform.templates.texts import greet

from treadle.platform.agents.lookups import AgentLookups
from treadle.platform.errors import NotFound

pytestmark = pytest.mark.slow


@pytest.fixture
async def lookups(database_url: str) -> AsyncIterator[AgentLookups]:
    found = AgentLookups(database_url)
    found.start()
    yield found
    await found.stop()


async def make_agent(tenant: Tenant, name: str) -> str:
    made = await tenant.client.post("/v1/agents", json={"name": name, "template": greet()})
    assert made.status_code == 201, made.text
    identifier: str = made.json()["id"]
    return identifier


async def test_workspaces_in_turn_see_only_their_own(
    new_tenant: NewTenant, lookups: AgentLookups
) -> None:
    one, other = await new_tenant(), await new_tenant()
    ids = [await make_agent(tenant, "shared") for tenant in (one, other)]
    hidden = await make_agent(one, "hidden")
    asked = [(one, "shared"), (other, "shared"), (one, ids[0]), (other, ids[1]), (one, hidden)]
    found = await asyncio.gather(*(lookups.find(who.id, name) for who, name in asked))
    assert [str(record.id) for record in found] == [*ids, *ids, hidden]
    for name in ("hidden", hidden, ids[0]):
        with pytest.raises(NotFound):
            await lookups.find(other.id, name)


async def test_a_change_is_seen_by_the_next_look_up(
    new_tenant: NewTenant, lookups: AgentLookups
) -> None:
    tenant = await new_tenant()
    await make_agent(tenant, "greeter")
    assert (await lookups.find(tenant.id, "greeter")).settings["model"] is None
    changed = await tenant.client.patch("/v1/agents/greeter", json={"settings": {"model": "m"}})
    assert changed.status_code == 200, changed.text
    assert (await lookups.find(tenant.id, "greeter")).settings["model"] == "m"
    assert (await tenant.client.delete("/v1/agents/greeter")).status_code == 204
    with pytest.raises(NotFound):
        await lookups.find(tenant.id, "greeter")
