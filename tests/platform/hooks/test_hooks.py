"""Webhooks in: an agent's triggers, signed requests, and what was received."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from tests.platform.conftest import NewTenant

from treadle.platform.webhooks.signature import new_secret, sign

pytestmark = pytest.mark.slow

TEMPLATE = """\
treadle: 1
name: intake
version: 1.0.0
inputs:
  seeds: {type: array, items: {type: string}}
  from: {type: string, optional: true}
nodes:
  keep: {use: set, with: {seeds: "${{ inputs.seeds }}"}}
outputs: {seeds: "${{ keep.seeds }}"}
triggers:
  - use: webhook
    dedupe: "${{ event.headers['x-event-id'] }}"
    inputs: {seeds: "${{ event.body.seeds }}", from: "${{ event.query.from | default('') }}"}
  - {use: schedule, cron: "0 7 * * 1", inputs: {seeds: ["${{ event.at }}"]}}
"""


@pytest.fixture
async def hook(client: httpx.AsyncClient) -> dict[str, Any]:
    body = {"name": "intake", "template": TEMPLATE, "triggers": True}
    made = await client.post("/v1/agents", json=body)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()["triggers"][0]
    return found


async def send(
    anonymous: httpx.AsyncClient,
    hook: dict[str, Any],
    body: object = None,
    *,
    message: str = "m1",
    secret: str | None = None,
    at: float | None = None,
    query: str = "",
    **headers: str,
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body or {"seeds": ["a"]}).encode()
    timestamp = int(at or time.time())
    signature = sign(secret or hook["secret"], message=message, timestamp=timestamp, body=content)
    signed = {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
        "content-type": "application/json",
    }
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    path = hook["url"].partition("//")[2].partition("/")[2]
    return await anonymous.post(f"/{path}{query}", content=content, headers={**signed, **more})


async def events(client: httpx.AsyncClient, hook: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get(f"/v1/hooks/{hook['id']}/events")).json()[
        "items"
    ]
    return items


async def test_the_secret_is_shown_once_and_the_url_always(
    client: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    assert hook["secret"].startswith("whsec_")
    assert "/v1/hooks/" in hook["url"]
    shown = (await client.get("/v1/agents/intake")).json()["triggers"]
    assert shown[0] == hook | {"secret": None}
    assert (await client.get("/v1/agents")).json()["items"][0]["triggers"] == shown
    (listed,) = (await client.get("/v1/hooks")).json()["items"]
    assert (listed["id"], listed["agent"], listed["url"]) == (hook["id"], "intake", hook["url"])


async def test_a_signed_request_starts_a_run_with_inputs_from_it(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    answer = await send(anonymous, hook, {"seeds": ["crm", "erp"]}, query="?from=shop")
    assert answer.status_code == 202, answer.text
    run = (await client.get(f"/v1/runs/{answer.json()['run']}")).json()
    assert run["inputs"] == {"seeds": ["crm", "erp"], "from": "shop"}
    assert run["agent"] == "intake"
    (event,) = await events(client, hook)
    assert (event["run"], event["body"]) == (run["id"], '{"seeds": ["crm", "erp"]}')
    assert "webhook-signature" not in event["headers"]


async def test_a_repeated_id_starts_nothing_and_answers_as_before(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    answers = await asyncio.gather(*(send(anonymous, hook) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run"] for answer in answers}) == 1
    assert sorted(answer.json()["repeated"] for answer in answers) == [False] + [True] * 7
    assert len((await client.get("/v1/runs")).json()["items"]) == 1


async def test_the_triggers_own_key_dedupes_too(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    ids = ["e1", "e1", "e2", "x" * 5000]
    answers = [
        await send(anonymous, hook, message=f"m{n}", x_event_id=event)
        for n, event in enumerate(ids)
    ]
    assert {answer.status_code for answer in answers} == {202}
    runs = [answer.json()["run"] for answer in answers]
    assert runs[0] == runs[1]
    assert len(set(runs)) == 3
    assert len((await client.get("/v1/runs")).json()["items"]) == 3


async def test_what_is_not_signed_with_the_secret_is_401(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    wrong = [
        await send(anonymous, hook, secret=new_secret()),
        await send(anonymous, hook, at=time.time() - 400),
        await send(anonymous, hook, at=time.time() + 400),
        await send(anonymous, hook, webhook_id="another"),
        await send(anonymous, hook, webhook_signature="v1,"),
        await anonymous.post(hook["url"], content=b"{}"),
    ]
    assert {answer.status_code for answer in wrong} == {401}
    assert {answer.json()["code"] for answer in wrong} == {"invalid_signature"}
    assert await events(client, hook) == []
    unknown = {**hook, "url": "http://x/v1/hooks/nothing"}
    assert (await send(anonymous, unknown)).status_code == 404


@pytest.mark.parametrize("body", [{"other": 1}, {"seeds": "x"}, b"{no json", b'{"a": 1, "a": 2}'])
async def test_inputs_that_do_not_fit_are_422_and_recorded(
    client: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    hook: dict[str, Any],
    body: object,
) -> None:
    refused = await send(anonymous, hook, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "hook_refused")
    (event,) = await events(client, hook)
    assert event["run"] is None
    assert event["error"] in refused.json()["detail"]
    mended = await send(anonymous, hook, {"seeds": ["a"]})
    assert mended.status_code == 202
    assert [event["run"] for event in await events(client, hook)] == [mended.json()["run"]]


async def test_a_body_over_1_mib_is_413(anonymous: httpx.AsyncClient, hook: dict[str, Any]) -> None:
    assert (await send(anonymous, hook, b" " * (1024 * 1024 + 1))).status_code == 413


async def test_what_was_received_can_be_replayed(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    first = await send(anonymous, hook, x_event_id="e1")
    (event,) = await events(client, hook)
    path = f"/v1/hooks/{hook['id']}/events/{event['id']}/replay"
    again = await client.post(path)
    assert again.status_code == 202, again.text
    assert again.json()["run"] != first.json()["run"]
    assert [e["replay_of"] for e in await events(client, hook)] == [event["id"], None]


async def test_hooks_follow_their_agent(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    kept = (await client.patch("/v1/agents/intake", json={"triggers": True})).json()["triggers"]
    assert kept[0] == hook | {"secret": None}
    assert len((await client.get("/v1/schedules")).json()["items"]) == 1
    only = [{"use": "webhook", "inputs": {"seeds": ["fixed"]}}]
    (new,) = (await client.patch("/v1/agents/intake", json={"triggers": only})).json()["triggers"]
    assert new["url"] != hook["url"]
    assert new["secret"] is not None
    assert (await send(anonymous, hook)).status_code == 404
    assert (await send(anonymous, new)).status_code == 202
    assert (await client.get("/v1/schedules")).json()["items"] == []
    await client.delete("/v1/agents/intake")
    assert (await send(anonymous, new, message="m2")).status_code == 404


async def test_a_schedule_trigger_becomes_a_schedule(
    client: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    assert hook["use"] == "webhook"
    (schedule,) = (await client.get("/v1/schedules?agent=intake")).json()["items"]
    triggers = (await client.get("/v1/agents/intake")).json()["triggers"]
    assert (schedule["cron"], schedule["trigger"]) == ("0 7 * * 1", triggers[1]["id"])


async def test_a_schedule_trigger_that_could_start_nothing_is_refused(
    client: httpx.AsyncClient,
) -> None:
    triggers = [{"use": "schedule", "every": "1h"}]
    body = {"name": "intake", "template": TEMPLATE, "triggers": triggers}
    answer = await client.post("/v1/agents", json=body)
    assert answer.status_code == 422
    assert answer.json()["issues"][0]["path"] == "triggers[0].inputs.seeds"


async def test_another_workspaces_hooks_are_404(
    new_tenant: NewTenant, anonymous: httpx.AsyncClient, hook: dict[str, Any]
) -> None:
    assert (await send(anonymous, hook)).status_code == 202
    other = await new_tenant()
    assert (await other.client.get("/v1/hooks")).json()["items"] == []
    assert (await other.client.get(f"/v1/hooks/{hook['id']}/events")).status_code == 404
