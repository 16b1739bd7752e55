"""Members: who they are, what their role lets their keys do, and what a run knows of them."""

import asyncio
from typing import Protocol
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from tests.platform.conftest import Connect, NewTenant

from treadle.platform.auth.scopes import ALL_SCOPES, Scope
from treadle.platform.db.database import Database
from treadle.platform.engine.models import runs
from treadle.platform.members.roles import SCOPES_OF, Role

pytestmark = pytest.mark.slow

TEXT = "treadle: 1\nname: one\nversion: 1.0.0\nnodes:\n  a: {use: set, with: {x: 1}}\n"


class OwnerOf(Protocol):
    async def __call__(self, client: httpx.AsyncClient, path: str, body: dict[str, str]) -> str: ...


@pytest.fixture
def owner_of(database: Database) -> OwnerOf:
    """Start a run and read what it knows as `run.owner`."""

    async def read(client: httpx.AsyncClient, path: str, body: dict[str, str]) -> str:
        started = await client.post(path, json=body)
        assert started.status_code == 202, started.text
        query = select(runs.c.owner).where(runs.c.id == UUID(started.json()["id"]))
        async with database.as_engine() as connection:
            owner: str = (await connection.execute(query)).scalar_one()
        return owner

    return read


async def join(
    client: httpx.AsyncClient, connect: Connect, role: Role, email: str | None = None
) -> httpx.AsyncClient:
    """A client with a key of a new member."""
    email = email or f"{role}@example.com"
    made = await client.post("/v1/members", json={"email": email, "role": role})
    assert made.status_code == 201, made.text
    key = await client.post("/v1/keys", json={"name": role, "member": email})
    return connect(key.json()["key"])


async def test_a_workspace_begins_with_its_owner(client: httpx.AsyncClient) -> None:
    items = (await client.get("/v1/members")).json()["items"]
    assert [(item["email"], item["role"]) for item in items] == [("owner@localhost", "owner")]
    assert set(items[0]["scopes"]) == ALL_SCOPES


async def test_members_come_and_go(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/members", json={"email": "Ada@Example.com"})
    assert made.status_code == 201
    assert (made.json()["email"], made.json()["role"]) == ("ada@example.com", "member")
    again = await client.post("/v1/members", json={"email": "ada@example.com"})
    assert (again.status_code, again.json()["code"]) == (409, "member_exists")
    assert (await client.delete(f"/v1/members/{made.json()['id']}")).status_code == 204
    gone = await client.delete("/v1/members/ada@example.com")
    assert (gone.status_code, gone.json()["code"]) == (404, "member_not_found")


@pytest.mark.parametrize("email", ["", "ada", "a b@c", "a@b\nBcc: x@y", "a@b@c", "@", "a@b,c@d"])
async def test_what_is_no_address_is_422(client: httpx.AsyncClient, email: str) -> None:
    assert (await client.post("/v1/members", json={"email": email})).status_code == 422


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_bounds_the_keys_of_its_members(
    client: httpx.AsyncClient, connect: Connect, role: Role
) -> None:
    theirs = await join(client, connect, role)
    writes = await theirs.post("/v1/agents", json={"name": "one", "template": TEXT})
    assert writes.status_code == (201 if Scope.AGENTS_WRITE in SCOPES_OF[role] else 403)
    invites = await theirs.post("/v1/members", json={"email": "x@example.com", "role": "viewer"})
    assert invites.status_code == (201 if Scope.WORKSPACE_WRITE in SCOPES_OF[role] else 403)
    assert (await theirs.get("/v1/members")).status_code == 200


async def test_nobody_acts_on_who_stands_above(client: httpx.AsyncClient, connect: Connect) -> None:
    admin = await join(client, connect, Role.ADMIN)
    answers = [
        await admin.post("/v1/members", json={"email": "x@example.com", "role": "owner"}),
        await admin.delete("/v1/members/owner@localhost"),
        await admin.post("/v1/keys", json={"name": "x", "member": "owner@localhost"}),
    ]
    assert {(a.status_code, a.json()["code"]) for a in answers} == {(403, "rank_too_low")}


async def test_the_last_owner_stays(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/members/owner@localhost")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    await client.post("/v1/members", json={"email": "two@example.com", "role": "owner"})
    assert (await client.delete("/v1/members/two@example.com")).status_code == 204


async def test_a_removed_members_keys_stop_and_agents_pass_on(
    client: httpx.AsyncClient, connect: Connect, owner_of: OwnerOf
) -> None:
    ada = await join(client, connect, Role.MEMBER, "ada@example.com")
    await ada.post("/v1/agents", json={"name": "one", "template": TEXT})
    await client.delete("/v1/members/ada@example.com")
    await asyncio.sleep(0.6)
    assert (await ada.get("/v1/agents")).status_code == 401
    assert await owner_of(client, "/v1/agents/one/runs", {}) == "owner@localhost"


async def test_a_runs_owner_made_its_agent_or_else_its_key(
    client: httpx.AsyncClient, connect: Connect, owner_of: OwnerOf
) -> None:
    ada = await join(client, connect, Role.MEMBER, "ada@example.com")
    bob = await join(client, connect, Role.MEMBER, "bob@example.com")
    await ada.post("/v1/agents", json={"name": "one", "template": TEXT})
    assert await owner_of(bob, "/v1/agents/one/runs", {}) == "ada@example.com"
    assert await owner_of(bob, "/v1/runs", {"template": TEXT}) == "bob@example.com"


async def test_keys_say_whose_they_are(client: httpx.AsyncClient, connect: Connect) -> None:
    ada = await join(client, connect, Role.MEMBER, "ada@example.com")
    heir = (await ada.post("/v1/keys", json={"name": "more"})).json()
    assert heir["member"] == "ada@example.com"
    other = await ada.post("/v1/keys", json={"name": "x", "member": "owner@localhost"})
    assert (other.status_code, other.json()["code"]) == (403, "missing_scope")
    listed = (await client.get("/v1/keys")).json()["items"]
    assert [key["member"] for key in listed] == [
        "ada@example.com", "ada@example.com", "owner@localhost",
    ]  # fmt: skip


async def test_members_of_another_workspace_are_unknown(
    client: httpx.AsyncClient, new_tenant: NewTenant
) -> None:
    made = (await client.post("/v1/members", json={"email": "ada@example.com"})).json()
    other = await new_tenant()
    assert (await other.client.delete(f"/v1/members/{made['id']}")).status_code == 404
