"""`/v1/usage`: sums of what ended, the same before and after they are folded into days."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text
from tests.platform.conftest import NewTenant, Tenant

from treadle.platform.db.database import Database
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.settings import Settings
from treadle.platform.usage.fold import fold_usage
from treadle.platform.usage.models import usage_entries

pytestmark = pytest.mark.slow

TODAY = datetime.now(UTC)
ZERO = {
    "agent": "",
    "model": "",
    "runs": 0,
    "steps": 0,
    "model_calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cached_tokens": 0,
    "cost_usd": None,
}


async def used(database: Database, tenant: Tenant, **entry: object) -> None:
    async with database.tenant(tenant.id) as tx:
        await tx.execute(usage_entries.insert().values({**ZERO, "template": "t", **entry}))


async def fold(settings: Settings) -> int:
    connection = EngineConnection(str(settings.database_url))
    try:
        return await fold_usage(connection)
    finally:
        await connection.close()


async def test_sums_are_the_same_before_and_after_folding(
    client: httpx.AsyncClient, tenant: Tenant, database: Database, settings: Settings
) -> None:
    await used(database, tenant, runs=1, steps=4, model="m")
    await used(database, tenant, model_calls=1, input_tokens=10, model="m", cost_usd=0.25)
    before = (await client.get("/v1/usage")).json()
    assert before["items"] == [
        {
            "day": TODAY.date().isoformat(),
            "agent": None,
            "template": "t",
            "model": "m",
            "runs": 1,
            "steps": 4,
            "model_calls": 1,
            "input_tokens": 10,
            "output_tokens": 0,
            "cached_tokens": 0,
            "cost_usd": 0.25,
        }
    ]
    assert await fold(settings) >= 2
    assert (await client.get("/v1/usage")).json() == before
    await used(database, tenant, runs=1, model="m", cost_usd=0.25)
    await fold(settings)
    (row,) = (await client.get("/v1/usage")).json()["items"]
    assert (row["runs"], row["cost_usd"]) == (2, 0.5)


async def test_sums_are_told_apart_by_what_is_asked(
    client: httpx.AsyncClient, tenant: Tenant, database: Database
) -> None:
    for agent, model in (("a", "m"), ("a", "n"), ("b", "m")):
        await used(database, tenant, agent=agent, model=model, input_tokens=1)

    async def asked(**query: str | list[str]) -> list[tuple[object, ...]]:
        items = (await client.get("/v1/usage", params=query)).json()["items"]
        return [(item["agent"], item["model"], item["input_tokens"]) for item in items]

    assert await asked(by="agent") == [("a", None, 2), ("b", None, 1)]
    assert await asked(by=["agent", "model"]) == [("a", "m", 1), ("a", "n", 1), ("b", "m", 1)]
    assert await asked(by="day", model="m") == [(None, None, 2)]


async def test_days_are_chosen_and_pages_end(
    client: httpx.AsyncClient, tenant: Tenant, database: Database
) -> None:
    for days in range(3):
        await used(database, tenant, at=TODAY - timedelta(days=days), runs=1)
    yesterday = (TODAY - timedelta(days=1)).date().isoformat()
    until = (await client.get("/v1/usage", params={"to": yesterday})).json()["items"]
    assert len(until) == 2
    first = (await client.get("/v1/usage?limit=2")).json()
    rest = (await client.get(f"/v1/usage?limit=2&cursor={first['next']}")).json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]


async def test_a_workspace_sees_its_own_usage_only(
    tenant: Tenant, new_tenant: NewTenant, database: Database
) -> None:
    await used(database, tenant, runs=1)
    other = await new_tenant()
    assert (await other.client.get("/v1/usage")).json()["items"] == []


async def test_a_cancelled_run_counts(client: httpx.AsyncClient) -> None:
    template = "treadle: 1\nname: one\nversion: 1.0.0\nnodes:\n  a: {use: set, with: {x: 1}}\n"
    started = await client.post("/v1/runs", json={"template": template})
    await client.post(f"/v1/runs/{started.json()['id']}/cancel")
    (row,) = (await client.get("/v1/usage")).json()["items"]
    assert (row["template"], row["runs"]) == ("one", 1)


async def test_folding_twice_at_once_counts_once(
    tenant: Tenant, database: Database, settings: Settings, client: httpx.AsyncClient
) -> None:
    insert = text("""
        INSERT INTO usage_entries (agent, template, model, runs, steps, model_calls, input_tokens,
            output_tokens, cached_tokens)
        SELECT 'a' || n % 7, 't', '', 1, 0, 0, 0, 0, 0 FROM generate_series(1, 12000) AS n
    """)
    async with database.tenant(tenant.id) as tx:
        await tx.execute(insert)
    await asyncio.gather(*(fold(settings) for _ in range(3)))
    (row,) = (await client.get("/v1/usage?by=template")).json()["items"]
    assert row["runs"] == 12_000
