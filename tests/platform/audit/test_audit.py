"""What changes a workspace is written down, and whoever touches the writing is found out."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool
from tests.platform.conftest import NewTenant, Tenant

from treadle.platform.audit.chain import Break, Chain, Deed, Entry
from treadle.platform.audit.repository import verify_chain
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.database import Database, driver_url
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.installation import InstallationSecret, installation_secret
from treadle.platform.openapi import routes_of
from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

TEXT = "treadle: 1\nname: one\nversion: 1.0.0\nnodes:\n  a: {use: set, with: {x: 1}}\n"
WORKSPACE = WorkspaceId(new_id())
DEED = Deed("ada@example.com", None, "keys.create", "x", "127.0.0.1", "r", "ok")


def a_chain(length: int) -> tuple[Chain, list[Entry]]:
    chain, entries = Chain(InstallationSecret(b"secret of the tests")), list[Entry]()
    for _ in range(length):
        before = entries[-1] if entries else None
        entries.append(chain.link(WORKSPACE, before, DEED, at=datetime.now(UTC)))
    return chain, entries


def test_a_whole_chain_holds() -> None:
    chain, entries = a_chain(5)
    assert chain.first_break(WORKSPACE, entries) is None
    assert chain.first_break(WORKSPACE, []) is None


def test_a_changed_removed_or_moved_entry_breaks_it() -> None:
    chain, entries = a_chain(5)
    forged = Deed("bob@example.com", None, "keys.create", "x", "127.0.0.1", "r", "ok")
    changed = Entry(3, entries[2].at, forged, entries[2].digest)
    assert chain.first_break(WORKSPACE, [*entries[:2], changed, *entries[3:]]) == Break(
        3, "the entry was changed"
    )
    assert chain.first_break(WORKSPACE, entries[:2] + entries[3:]) == Break(
        3, "an entry is missing"
    )
    assert chain.first_break(WORKSPACE, entries[1:]) == Break(1, "an entry is missing")
    assert chain.first_break(WorkspaceId(new_id()), entries) == Break(1, "the entry was changed")


def test_who_has_the_database_alone_cannot_forge_an_entry() -> None:
    _, entries = a_chain(2)
    other = Chain(InstallationSecret(b"another secret here"))
    entries.append(other.link(WORKSPACE, entries[-1], DEED, at=datetime.now(UTC)))
    chain, _ = a_chain(0)
    assert chain.first_break(WORKSPACE, entries) == Break(3, "the entry was changed")


async def test_a_change_is_written_with_who_what_and_where(
    client: httpx.AsyncClient,
) -> None:
    made = await client.post("/v1/keys", json={"name": "ci"}, headers={"X-Request-Id": "r-1"})
    (entry,) = (await client.get("/v1/audit")).json()["items"]
    assert entry["actor"] == "owner@localhost"
    assert (entry["seq"], entry["action"], entry["result"]) == (1, "keys.create", "ok")
    assert entry["object"] == made.json()["id"]
    assert (entry["ip"], entry["request_id"]) == ("127.0.0.1", "r-1")
    assert made.json()["key"] not in str(entry)


async def test_all_that_changes_a_workspace_is_written(client: httpx.AsyncClient) -> None:
    http = {"type": "http", "name": "crm", "auth": "bearer", "secret": "s", "hosts": ["a.example"]}
    yaml = {"Content-Type": "application/yaml"}
    await client.put("/v1/templates/one", content=TEXT, headers=yaml)
    await client.post("/v1/agents", json={"name": "mine", "template": "one"})
    await client.patch("/v1/agents/mine", json={"name": "ours"})
    await client.post("/v1/connections", json=http)
    await client.post("/v1/members", json={"email": "ada@example.com"})
    await client.delete("/v1/members/ada@example.com")
    await client.delete("/v1/agents/ours")
    items = (await client.get("/v1/audit")).json()["items"]
    assert items[-1]["object"] == "one"
    assert [item["action"] for item in reversed(items)] == [
        "templates.put",
        "agents.create",
        "agents.change",
        "connections.create",
        "members.create",
        "members.delete",
        "agents.delete",
    ]


async def test_runs_and_looking_are_not_written(client: httpx.AsyncClient) -> None:
    await client.post("/v1/runs", json={"template": TEXT})
    await client.get("/v1/keys")
    await client.post("/v1/templates/validate", content=TEXT)
    assert (await client.get("/v1/audit")).json()["items"] == []


async def test_what_failed_is_not_written_and_what_was_denied_is(
    client: httpx.AsyncClient, new_tenant: NewTenant, tenant: Tenant
) -> None:
    await client.post("/v1/agents", json={"name": "x", "template": "nothing-here"})
    viewer = await new_tenant(scopes=frozenset({Scope.KEYS_READ}), workspace=tenant.workspace)
    await viewer.client.delete("/v1/agents/x")
    items = (await client.get("/v1/audit")).json()["items"]
    assert [(i["action"], i["object"], i["result"]) for i in items] == [
        ("agents.delete", "x", "denied")
    ]


async def test_a_replayed_answer_did_nothing(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await client.post("/v1/keys", json={"name": "x"}, headers={"Idempotency-Key": "one"})
    assert len((await client.get("/v1/audit")).json()["items"]) == 1


async def test_changes_at_once_make_one_chain(
    client: httpx.AsyncClient, tenant: Tenant, database: Database, settings: Settings
) -> None:
    await asyncio.gather(*(client.post("/v1/keys", json={"name": str(n)}) for n in range(12)))
    page = (await client.get("/v1/audit?limit=5")).json()
    rest = (await client.get(f"/v1/audit?limit=200&cursor={page['next']}")).json()
    assert [item["seq"] for item in page["items"] + rest["items"]] == list(range(12, 0, -1))
    chain = Chain(installation_secret(settings))
    async with database.tenant(tenant.id) as tx:
        assert await verify_chain(tx, chain, tenant.id) is None


async def test_requests_cannot_change_or_delete_an_entry(
    client: httpx.AsyncClient, tenant: Tenant, database: Database
) -> None:
    await client.post("/v1/keys", json={"name": "x"})
    for statement in ("UPDATE audit_log SET actor = 'bob'", "DELETE FROM audit_log"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.tenant(tenant.id) as tx:
                await tx.execute(text(statement))


@pytest.mark.parametrize(
    ("deed", "found"),
    [
        ("UPDATE audit_log SET actor = 'bob' WHERE seq = 2", Break(2, "the entry was changed")),
        ("DELETE FROM audit_log WHERE seq = 2", Break(2, "an entry is missing")),
    ],
)
async def test_tampering_by_the_databases_owner_is_found(
    client: httpx.AsyncClient,
    tenant: Tenant,
    database: Database,
    settings: Settings,
    deed: str,
    found: Break,
) -> None:
    for name in "abc":
        await client.post("/v1/keys", json={"name": name})
    engine = create_engine(driver_url(str(settings.database_url)), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"{deed} AND workspace_id = '{tenant.id}'"))
    chain = Chain(installation_secret(settings))
    async with database.tenant(tenant.id) as tx:
        assert await verify_chain(tx, chain, tenant.id) == found


def test_every_route_that_changes_something_has_an_action(app: FastAPI) -> None:
    actions = {route.path: route.action for route in routes_of(app) if route.action}
    assert actions["/v1/keys/{key}"] == "keys.delete"
    assert "/v1/runs" not in actions
    assert actions["/v1/agents/{agent}/batches"] == "batches.create"
    for route in routes_of(app):
        if "DELETE" in (route.methods or set()) and route.scope is not None:
            assert route.action, route.path
