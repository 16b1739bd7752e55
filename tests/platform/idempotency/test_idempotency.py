"""A POST that is sent again creates nothing twice and is answered as the first time."""

import asyncio
import json
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from tests.platform.conftest import NewTenant, Tenant

from treadle.platform.db.database import Database
from treadle.platform.db.ids import new_id
from treadle.platform.openapi import routes_of
from treadle.platform.services import Services

pytestmark = pytest.mark.slow

CREATES_NOTHING = {
    "/v1/templates/validate",
    "/v1/runs/{run}/cancel",
    "/v1/approvals/{approval}",
}
"""POSTs that need no key: what they do twice is done once."""

TEXT = """\
treadle: 1
name: echo
version: 1.0.0
inputs: {word: {type: string}}
nodes:
  said: {use: set, with: {word: "${{ inputs.word }}"}}
outputs: {word: "${{ said.word }}"}
"""


def a_key() -> dict[str, str]:
    return {"Idempotency-Key": str(new_id())}


def same(first: httpx.Response, second: httpx.Response) -> bool:
    return (first.status_code, first.content) == (second.status_code, second.content)


async def run_count(client: httpx.AsyncClient) -> int:
    return len((await client.get("/v1/runs")).json()["items"])


def test_every_post_that_creates_takes_a_key(app: FastAPI) -> None:
    for route in routes_of(app):
        if route.methods == {"POST"} and route.scope is not None:
            assert route.is_repeatable or route.path in CREATES_NOTHING, route.path


def test_the_header_is_told_in_openapi(app: FastAPI) -> None:
    operation = app.openapi()["paths"]["/v1/runs"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]]


async def test_the_first_answer_is_given_again(client: httpx.AsyncClient) -> None:
    key = a_key()
    first = await client.post("/v1/keys", json={"name": "ci"}, headers=key)
    again = await client.post("/v1/keys", json={"name": "ci"}, headers=key)
    assert first.status_code == 201
    assert same(first, again)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    names = [item["name"] for item in (await client.get("/v1/keys")).json()["items"]]
    assert names.count("ci") == 1


async def test_another_body_under_the_same_key_is_422(client: httpx.AsyncClient) -> None:
    key = a_key()
    await client.post("/v1/keys", json={"name": "ci"}, headers=key)
    other = await client.post("/v1/keys", json={"name": "cd"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = await client.post("/v1/runs", json={"name": "ci"}, headers=key)
    assert elsewhere.status_code == 422


async def test_twenty_posts_at_once_create_one_thing(client: httpx.AsyncClient) -> None:
    key = a_key()
    posts = [client.post("/v1/keys", json={"name": "ci"}, headers=key) for _ in range(20)]
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    names = [item["name"] for item in (await client.get("/v1/keys")).json()["items"]]
    assert names.count("ci") == 1


@pytest.mark.parametrize("wait_s", [None, 0.5])
async def test_twenty_posts_at_once_start_one_run(
    client: httpx.AsyncClient, wait_s: float | None
) -> None:
    key, body = a_key(), {"template": TEXT, "inputs": {"word": "hi"}, "wait_s": wait_s}
    posts = [client.post("/v1/runs", json=body, headers=key) for _ in range(20)]
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    again = await client.post("/v1/runs", json=body, headers=key)
    assert same(answers[0], again)
    assert await run_count(client) == 1
    run = (await client.get(f"/v1/runs/{again.json()['id']}")).json()
    assert run["created_at"] == again.json()["created_at"]


async def test_runs_with_and_without_keys_are_accepted_together(client: httpx.AsyncClient) -> None:
    def body(n: int) -> dict[str, object]:
        return {"template": TEXT, "inputs": {"word": str(n)}}

    plain = [client.post("/v1/runs", json=body(n)) for n in range(10)]
    keyed = [client.post("/v1/runs", json=body(n), headers=a_key()) for n in range(10)]
    answers = await asyncio.gather(*plain, *keyed)
    assert [answer.status_code for answer in answers] == [202] * 20
    assert await run_count(client) == 20
    words = [answer.json()["inputs"]["word"] for answer in answers]
    assert words == [str(n) for n in range(10)] * 2


async def test_an_agents_run_is_replayed_though_the_agent_is_gone(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/v1/agents", json={"name": "echo", "template": TEXT})
    key, body = a_key(), {"inputs": {"word": "hi"}}
    first = await client.post("/v1/agents/echo/runs", json=body, headers=key)
    await client.delete("/v1/agents/echo")
    assert same(first, await client.post("/v1/agents/echo/runs", json=body, headers=key))


async def test_what_was_refused_may_be_mended_and_sent_again(client: httpx.AsyncClient) -> None:
    key = a_key()
    body = {"name": "echo", "template": "echo"}
    missing = await client.post("/v1/agents", json=body, headers=key)
    assert missing.status_code == 404
    await client.put(
        "/v1/templates/echo", content=TEXT, headers={"Content-Type": "application/yaml"}
    )
    made = await client.post("/v1/agents", json=body, headers=key)
    assert made.status_code == 201


async def test_an_upload_is_recognised_though_its_boundary_is_another(
    client: httpx.AsyncClient,
) -> None:
    key = a_key()

    async def send(content: bytes) -> httpx.Response:
        files = {"file": ("a.txt", content, "text/plain")}
        return await client.post("/v1/files", files=files, headers=key)

    first = await send(b"one")
    assert first.status_code == 201
    assert same(first, await send(b"one"))
    assert (await send(b"two")).status_code == 422


@pytest.mark.parametrize("bad", ["", "x" * 256, "caf\u00e9", "a\tb"])
async def test_an_unfit_key_is_422(client: httpx.AsyncClient, bad: str) -> None:
    headers = {b"Idempotency-Key": bad.encode()}
    answer = await client.post("/v1/keys", json={"name": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")


async def test_a_key_belongs_to_its_workspace(new_tenant: NewTenant) -> None:
    one, other, key = await new_tenant(), await new_tenant(), a_key()
    mine = await one.client.post("/v1/keys", json={"name": "x"}, headers=key)
    theirs = await other.client.post("/v1/keys", json={"name": "y"}, headers=key)
    assert (mine.status_code, theirs.status_code) == (201, 201)


async def test_a_stored_answer_shows_no_secret(
    client: httpx.AsyncClient, tenant: Tenant, database: Database
) -> None:
    made = await client.post("/v1/keys", json={"name": "x"}, headers=a_key())
    async with database.tenant(tenant.id) as tx:
        stored = (await tx.execute(text("SELECT sealed FROM idempotency_keys"))).scalar_one()
    assert made.json()["key"].encode() not in bytes(stored)


async def test_while_the_first_is_under_way_the_others_hear_409(
    client: httpx.AsyncClient, tenant: Tenant, database: Database
) -> None:
    key = a_key()
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:ws || :key, 0))")
    async with database.tenant(tenant.id) as tx:
        await tx.execute(lock, {"ws": str(tenant.id), "key": key["Idempotency-Key"]})
        slow = [
            client.post("/v1/keys", json={"name": "x"}, headers=key),
            client.post("/v1/runs", json={"template": TEXT, "inputs": {"word": "x"}}, headers=key),
        ]
        answers = await asyncio.gather(*slow)
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_progress")
        assert answer.headers["retry-after"] == "1"
    assert await run_count(client) == 0


async def test_after_a_crash_between_run_and_answer_the_same_run_is_shown(
    app: FastAPI, client: httpx.AsyncClient, tenant: Tenant, database: Database
) -> None:
    key, body = a_key(), {"template": TEXT, "inputs": {"word": "hi"}, "wait_s": 0.1}
    first = await client.post("/v1/runs", json=body, headers=key)
    crash = text("""
        UPDATE idempotency_keys SET is_final = false, created_at = now() - interval '2 minutes',
            sealed = :sealed
    """)
    services: Services = app.state.services
    queued = json.dumps(first.json() | {"created_at": None}).encode()
    sealed = services.answers.seal(queued, tenant.id, key["Idempotency-Key"])
    async with database.tenant(tenant.id) as tx:
        await tx.execute(crash, {"sealed": sealed})
    again = await client.post("/v1/runs", json=body, headers=key)
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert datetime.fromisoformat(again.json()["created_at"]) < datetime.now(UTC)
