"""Webhooks out: what is told, signed, tried again and logged."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.platform.conftest import NewTenant
from tests.platform.webhooks.conftest import Receiver

from treadle.platform.db.database import Database
from treadle.platform.webhooks.courier import PAUSES, Courier
from treadle.platform.webhooks.signature import is_recent, is_signed
from treadle.workers.process import WorkerService

pytestmark = pytest.mark.slow

GREET = """\
treadle: 1
name: greet
version: 1.0.0
nodes:
  hello: {use: set, with: {text: "Hello"}}
outputs: {text: "${{ hello.text }}"}
"""
FAILS = GREET.replace('"Hello"', '"${{ [1, 2][7] }}"')


ASKS = """\
treadle: 1
name: asks
version: 1.0.0
nodes:
  sure:
    use: approval
    with: {title: "Go on?", actions: [go, stop], timeout: 1h, on_timeout: stop}
outputs: {action: "${{ sure.action }}"}
"""


async def make(client: httpx.AsyncClient, url: str, **fields: object) -> dict[str, Any]:
    answer = await client.post("/v1/webhooks", json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def run(client: httpx.AsyncClient, template: str, *, wait_s: int = 20) -> dict[str, Any]:
    body = {"template": template, "wait_s": wait_s}
    shown: dict[str, Any] = (await client.post("/v1/runs", json=body)).json()
    return shown


async def deliveries(client: httpx.AsyncClient, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/webhooks/{webhook['id']}/deliveries")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def hurry(database: Database) -> None:
    """Let what waits for its next attempt be due."""
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE webhook_deliveries SET next_at = now()"))


async def test_a_webhook_is_made_listed_and_deleted(client: httpx.AsyncClient) -> None:
    made = await make(client, "https://example.com/x", events=["run.failed"])
    assert made["secret"].startswith("whsec_")
    shown = made | {"secret": None}
    assert (await client.get("/v1/webhooks")).json() == {"items": [shown], "next": None}
    assert (await client.delete(f"/v1/webhooks/{made['id']}")).status_code == 204
    assert (await client.delete(f"/v1/webhooks/{made['id']}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "ftp://example.com"},
        {"url": "nonsense"},
        {"url": "https://a:b@example.com"},
        {"url": "https://example.com", "events": ["run.exploded"]},
        {"url": "https://example.com", "events": []},
    ],
)
async def test_a_wrong_webhook_is_422(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    assert (await client.post("/v1/webhooks", json=body)).status_code == 422


async def test_ended_runs_are_told_signed(
    client: httpx.AsyncClient, worker: WorkerService, courier: Courier, receiver: Receiver
) -> None:
    assert worker is not None
    webhook = await make(client, receiver.url)
    succeeded, failed = await run(client, GREET), await run(client, FAILS)
    assert (succeeded["status"], failed["status"]) == ("succeeded", "failed")
    assert await courier.deliver_due() == 2
    assert sorted(receiver.types()) == ["run.failed", "run.succeeded"]
    told = {receiver.body(n)["data"]["id"] for n in range(2)}
    assert told == {succeeded["id"], failed["id"]}
    headers, body = receiver.requests[0]
    assert is_signed(
        webhook["secret"],
        headers["webhook-signature"],
        message=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        body=body,
    )
    assert is_recent(headers["webhook-timestamp"], now=time.time())
    shown = await deliveries(client, webhook)
    assert {one["status"] for one in shown} == {"delivered"}
    assert headers["webhook-id"] in {one["id"] for one in shown}
    assert await courier.deliver_due() == 0


async def test_a_cancelled_run_is_told_and_only_who_asked_hears(
    client: httpx.AsyncClient, courier: Courier, receiver: Receiver, new_tenant: NewTenant
) -> None:
    await make(client, receiver.url, events=["run.cancelled"])
    other = await new_tenant()
    await make(other.client, receiver.url)
    queued = await run(client, GREET, wait_s=0)
    assert (await client.post(f"/v1/runs/{queued['id']}/cancel")).status_code == 202
    await courier.deliver_due()
    assert receiver.types() == ["run.cancelled"]
    assert receiver.body()["data"]["status"] == "cancelled"


async def test_what_fails_is_tried_again_under_its_id_and_given_up_at_last(
    client: httpx.AsyncClient, courier: Courier, receiver: Receiver, database: Database
) -> None:
    webhook = await make(client, receiver.url)
    receiver.status = 503
    queued = await run(client, GREET, wait_s=0)
    await client.post(f"/v1/runs/{queued['id']}/cancel")
    assert await courier.deliver_due() == 1
    (first,) = await deliveries(client, webhook)
    assert (first["status"], first["attempts"]) == ("pending", 1)
    assert first["tries"][0]["status"] == 503
    assert await courier.deliver_due() == 0
    for _ in PAUSES:
        await hurry(database)
        assert await courier.deliver_due() == 1
    (last,) = await deliveries(client, webhook)
    assert (last["status"], len(last["tries"])) == ("failed", len(PAUSES) + 1)
    assert {headers["webhook-id"] for headers, _ in receiver.requests} == {last["id"]}
    assert len({body for _, body in receiver.requests}) == 1

    receiver.status = 204
    again = await client.post(f"/v1/webhooks/{webhook['id']}/redeliver")
    assert (again.status_code, again.json()) == (202, {"count": 1})
    await courier.deliver_due()
    assert (await deliveries(client, webhook))[0]["status"] == "delivered"
    path = f"/v1/webhooks/{webhook['id']}/deliveries/{last['id']}/redeliver"
    assert (await client.post(path)).status_code == 202
    assert await courier.deliver_due() == 1


async def test_who_answers_gone_is_disabled(
    client: httpx.AsyncClient, courier: Courier, receiver: Receiver
) -> None:
    webhook = await make(client, receiver.url)
    receiver.status = 410
    queued = await run(client, GREET, wait_s=0)
    await client.post(f"/v1/runs/{queued['id']}/cancel")
    await courier.deliver_due()
    shown = (await client.get(f"/v1/webhooks/{webhook['id']}")).json()
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "it answered 410 Gone")


async def test_private_addresses_and_redirects_are_not_followed(
    client: httpx.AsyncClient, courier: Courier, receiver: Receiver
) -> None:
    private = await make(client, "http://10.0.0.1/x")
    moved = await make(client, receiver.url)
    receiver.status = 302
    queued = await run(client, GREET, wait_s=0)
    await client.post(f"/v1/runs/{queued['id']}/cancel")
    await courier.deliver_due()
    (denied,) = await deliveries(client, private)
    assert denied["tries"][0]["status"] is None
    assert "10.0.0.1" in denied["tries"][0]["error"]
    (redirected,) = await deliveries(client, moved)
    assert (redirected["status"], redirected["tries"][0]["status"]) == ("pending", 302)


async def test_an_approval_that_waits_is_told_with_the_address_of_its_page(
    client: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    worker: WorkerService,
    courier: Courier,
    receiver: Receiver,
) -> None:
    assert worker is not None
    webhook = await make(client, receiver.url, events=["approval.waiting"])
    queued = await run(client, ASKS, wait_s=0)
    async with asyncio.timeout(60):
        while not receiver.requests:
            await courier.deliver_due()
            await asyncio.sleep(0.05)
    told = receiver.body()["data"]
    assert (told["run"], told["node"], told["title"]) == (queued["id"], "sure", "Go on?")
    open_ones = (await client.get("/v1/approvals")).json()["items"]
    assert [one["id"] for one in open_ones] == [told["id"]]

    assert told["url"].startswith("http://treadle.test/a/")
    page = await anonymous.get(told["url"])
    assert (page.status_code, "Go on?" in page.text) == (200, True)
    headers, body = receiver.requests[0]
    assert is_signed(
        webhook["secret"],
        headers["webhook-signature"],
        message=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        body=body,
    )
    (kept,) = await deliveries(client, webhook)
    assert "url" not in json.loads(kept["payload"])["data"]  # who may read the log may not decide
    answered = await anonymous.post(told["url"], data={"action": "go"})
    assert answered.status_code == 200
    async with asyncio.timeout(60):
        shown = queued
        while shown["status"] != "succeeded":
            await asyncio.sleep(0.05)
            shown = (await client.get(f"/v1/runs/{queued['id']}")).json()
    assert shown["outputs"] == {"action": "go"}
