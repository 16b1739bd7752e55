"""Keys: who gets in, with what, and for how long."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from tests.platform.conftest import Connect, NewTenant, Tenant

from treadle.platform.auth.scopes import ALL_SCOPES, Scope
from treadle.platform.auth.tokens import make_key, read_key
from treadle.platform.db.database import Database
from treadle.platform.openapi import routes_of
from treadle.platform.settings import Settings
from treadle.platform.workspaces.service import bootstrap, rotate_workspace_key

pytestmark = pytest.mark.slow


async def test_without_a_key_the_answer_is_401(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/v1/keys")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "missing_key"
    assert answer.json()["detail"] == ("no API key: send the header `Authorization: Bearer trd_…`")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer nonsense", "Basic dHJkXw==", "Bearer ", "trd_",
        pytest.param(f"Bearer {make_key()}", id="well formed and unknown"),
    ],
)  # fmt: skip
async def test_a_wrong_key_is_401(anonymous: httpx.AsyncClient, header: str) -> None:
    answer = await anonymous.get("/v1/keys", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_key"


def test_a_mistyped_key_fails_its_checksum_without_a_query() -> None:
    key = make_key()
    assert len(key) == 43
    assert read_key(key) == key
    assert read_key(key[:10] + ("a" if key[10] != "a" else "b") + key[11:]) is None


async def test_a_made_key_is_shown_once_and_works(
    client: httpx.AsyncClient, connect: Connect
) -> None:
    made = await client.post("/v1/keys", json={"name": "ci", "scopes": ["keys:read"]})
    assert made.status_code == 201
    key = made.json()["key"]
    listed = await connect(key).get("/v1/keys")
    assert listed.status_code == 200
    assert key not in listed.text
    assert {item["name"] for item in listed.json()["items"]} == {"ci", "cli"}
    assert (
        next(item for item in listed.json()["items"] if item["name"] == "ci")["last4"] == key[-4:]
    )


async def test_a_missing_scope_is_403(new_tenant: NewTenant) -> None:
    narrow = await new_tenant(scopes=frozenset({Scope.KEYS_READ}))
    answer = await narrow.client.post("/v1/keys", json={"name": "x"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "missing_scope"
    assert answer.json()["detail"] == "this key lacks the scope 'keys:write'"


async def test_no_key_makes_a_wider_one(new_tenant: NewTenant) -> None:
    narrow = await new_tenant(scopes=frozenset({Scope.KEYS_WRITE}))
    wider = {"name": "x", "scopes": ["keys:write", "runs:write"]}
    answer = await narrow.client.post("/v1/keys", json=wider)
    assert answer.status_code == 403
    assert answer.json()["code"] == "wider_key"
    equal = await narrow.client.post("/v1/keys", json={"name": "x"})
    assert equal.json()["scopes"] == ["keys:write"]


async def test_no_key_makes_one_that_outlives_it(
    client: httpx.AsyncClient, connect: Connect
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    made = await client.post("/v1/keys", json={"name": "brief", "expires_at": soon.isoformat()})
    brief = connect(made.json()["key"])
    later = {"name": "x", "expires_at": (soon + timedelta(days=1)).isoformat()}
    assert (await brief.post("/v1/keys", json=later)).status_code == 403
    heir = await brief.post("/v1/keys", json={"name": "x"})
    assert datetime.fromisoformat(heir.json()["expires_at"]) == soon


async def test_by_default_a_key_may_do_all(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/keys", json={"name": "x"})
    assert set(made.json()["scopes"]) == {scope.value for scope in ALL_SCOPES}


async def test_a_deleted_key_stops_within_a_second(
    client: httpx.AsyncClient, connect: Connect
) -> None:
    made = (await client.post("/v1/keys", json={"name": "x"})).json()
    other = connect(made["key"])
    assert (await other.get("/v1/keys")).status_code == 200
    assert (await client.delete(f"/v1/keys/{made['id']}")).status_code == 204
    await asyncio.sleep(1)
    assert (await other.get("/v1/keys")).status_code == 401


async def test_an_expired_key_is_401(
    client: httpx.AsyncClient, connect: Connect, tenant: Tenant
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    body = {"name": "x", "expires_at": soon.isoformat()}
    brief = connect((await client.post("/v1/keys", json=body)).json()["key"])
    assert (await brief.get("/v1/keys")).status_code == 200
    await asyncio.sleep(1.6)
    assert (await brief.get("/v1/keys")).status_code == 401


async def test_a_past_expiry_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/keys", json={"name": "x", "expires_at": "2020-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["code"]) == (422, "expiry_past")


async def test_anothers_key_cannot_be_deleted(
    client: httpx.AsyncClient, new_tenant: NewTenant
) -> None:
    stranger = await new_tenant()
    made = (await client.post("/v1/keys", json={"name": "x"})).json()
    answer = await stranger.client.delete(f"/v1/keys/{made['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "key_not_found")


async def test_the_database_holds_no_usable_key(
    tenant: Tenant, database: Database, postgres_url: str
) -> None:
    async with database.engine.begin() as connection:  # as the owner, who sees everything
        dump = str((await connection.execute(text("SELECT * FROM api_keys"))).all())
    assert tenant.key not in dump
    assert tenant.key[4:-6] not in dump


async def test_the_last_use_is_shown(client: httpx.AsyncClient) -> None:
    listed = await client.get("/v1/keys")
    assert listed.json()["items"][0]["last_used_at"] is not None


async def test_lists_are_paged(client: httpx.AsyncClient) -> None:
    for number in range(4):
        await client.post("/v1/keys", json={"name": f"k{number}"})
    names: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/keys", params=params)).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert names == ["k3", "k2", "k1", "k0", "cli"]


@pytest.mark.parametrize("limit", ["0", "201", "x"])
async def test_a_limit_out_of_bounds_is_422(client: httpx.AsyncClient, limit: str) -> None:
    answer = await client.get("/v1/keys", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["issues"][0]["path"] == "limit"


async def test_a_wrong_cursor_is_422(client: httpx.AsyncClient) -> None:
    for cursor in ("x", "eA", "\u00e9"):
        answer = await client.get("/v1/keys", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_a_rotated_key_stops_and_its_heir_may_do_the_same(
    new_tenant: NewTenant, connect: Connect, database: Database, settings: Settings
) -> None:
    narrow = frozenset({Scope.KEYS_READ, Scope.KEYS_WRITE})
    old = await new_tenant(scopes=narrow)
    key_id = UUID((await old.client.get("/v1/keys")).json()["items"][0]["id"])
    new = await rotate_workspace_key(database, settings, workspace=old.workspace, key_id=key_id)
    listed = (await connect(new).get("/v1/keys")).json()["items"]
    assert [(key["name"], frozenset(key["scopes"])) for key in listed] == [("cli", narrow)]
    await asyncio.sleep(0.6)
    assert (await old.client.get("/v1/keys")).status_code == 401


async def test_a_rotated_key_may_work_on_for_a_while(
    new_tenant: NewTenant, database: Database, settings: Settings
) -> None:
    old = await new_tenant()
    key_id = UUID((await old.client.get("/v1/keys")).json()["items"][0]["id"])
    grace = timedelta(minutes=5)
    await rotate_workspace_key(
        database, settings, workspace=old.workspace, key_id=key_id, grace=grace
    )
    await asyncio.sleep(0.6)
    listed = (await old.client.get("/v1/keys")).json()["items"]
    left = datetime.fromisoformat(listed[1]["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < left <= grace


async def test_the_admin_key_is_rotated_in_its_file(
    settings: Settings, database: Database, connect: Connect
) -> None:
    path = await bootstrap(database, settings)
    before = path.read_text().strip()
    made = await rotate_workspace_key(database, settings)
    assert path.read_text().strip() == made != before
    assert path.stat().st_mode & 0o777 == 0o600
    assert (await connect(made).get("/v1/keys")).status_code == 200
    await asyncio.sleep(0.6)
    assert (await connect(before).get("/v1/keys")).status_code == 401


async def test_every_route_asks_for_its_scope_and_no_other(
    app: FastAPI, new_tenant: NewTenant
) -> None:
    for scope in Scope:
        only = (await new_tenant(scopes=frozenset({scope}))).client
        lacking = (await new_tenant(scopes=ALL_SCOPES - {scope})).client
        for route in routes_of(app):
            if route.scope is not scope:
                continue
            for method in route.methods or set():
                path = re.sub(r"\{[^}]+\}", "x", route.path)
                refused = await lacking.request(method, path, content=b"{not json")
                assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope"), path
                passed = await only.request(method, path, content=b"{not json")
                assert passed.status_code not in {401, 403}, (method, path, passed.text)
