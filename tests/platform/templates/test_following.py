"""Agents that follow their template, and the way back to an earlier version."""

import httpx
import pytest
from tests.platform.templates.texts import fetch, greet

pytestmark = pytest.mark.slow

YAML = {"Content-Type": "application/yaml"}


async def publish(client: httpx.AsyncClient, text: str, name: str = "greet") -> httpx.Response:
    answer = await client.put(f"/v1/templates/{name}", content=text, headers=YAML)
    assert answer.status_code == 201, answer.text
    return answer


async def versions_of(client: httpx.AsyncClient) -> dict[str, str]:
    agents = (await client.get("/v1/agents")).json()["items"]
    return {agent["name"]: agent["version"] for agent in agents}


async def test_an_agent_with_a_range_follows_and_others_are_pinned(
    client: httpx.AsyncClient,
) -> None:
    await publish(client, greet())
    for name, body in {
        "range": {"template": "greet", "version": "^1.0"},
        "at": {"template": "greet@1.x"},
        "patch": {"template": "greet", "version": "~1.0.0"},
        "exact": {"template": "greet", "version": "1.0.0"},
        "plain": {"template": "greet"},
    }.items():
        made = await client.post("/v1/agents", json={"name": name, **body})
        assert made.status_code == 201, made.text
    assert (await client.get("/v1/agents/range")).json()["follows"] == "^1.0"
    assert (await client.get("/v1/agents/plain")).json()["follows"] is None
    answer = await publish(client, greet(version="1.1.0"))
    assert [(one["agent"], one["version"]) for one in answer.json()["followers"]] == [
        ("range", "1.1.0"), ("at", "1.1.0"),
    ]  # fmt: skip
    assert await versions_of(client) == {
        "range": "1.1.0", "at": "1.1.0", "patch": "1.0.0", "exact": "1.0.0", "plain": "1.0.0",
    }  # fmt: skip
    await publish(client, greet(version="2.0.0"))
    assert (await versions_of(client))["range"] == "1.1.0"
    pinned = await client.patch("/v1/agents/range", json={"version": "1.0.0"})
    assert (pinned.json()["version"], pinned.json()["follows"]) == ("1.0.0", None)
    moved = await client.patch("/v1/agents/exact", json={"version": "*"})
    assert (moved.json()["version"], moved.json()["follows"]) == ("2.0.0", "*")
    renamed = await client.patch("/v1/agents/exact", json={"name": "any"})
    assert renamed.json()["follows"] == "*"


async def test_an_agent_that_the_new_version_does_not_fit_stays_and_says_why(
    client: httpx.AsyncClient,
) -> None:
    await publish(client, greet())
    await client.post("/v1/agents", json={"name": "a", "template": "greet@^1"})
    text = fetch("greet").replace("1.0.0", "1.1.0")
    (follower,) = (await publish(client, text)).json()["followers"]
    assert (follower["agent"], follower["version"]) == ("a", "1.0.0")
    assert "crm" in follower["issues"][0]["message"]
    assert (await versions_of(client)) == {"a": "1.0.0"}


async def test_a_draft_moves_nobody_until_it_is_published(client: httpx.AsyncClient) -> None:
    await publish(client, greet())
    await client.post("/v1/agents", json={"name": "a", "template": "greet@^1"})
    draft = greet(version="1.2.0")
    await client.put("/v1/templates/greet?draft=true", content=draft, headers=YAML)
    assert (await versions_of(client)) == {"a": "1.0.0"}
    published = await client.post("/v1/templates/greet/publish")
    assert published.status_code == 201
    assert (await versions_of(client)) == {"a": "1.2.0"}


async def test_a_rollback_publishes_the_old_text_under_the_next_number(
    client: httpx.AsyncClient,
) -> None:
    await publish(client, greet(note="good"))
    await client.post("/v1/agents", json={"name": "a", "template": "greet@^1"})
    await publish(client, greet(version="1.3.0", note="bad"))
    back = await client.post("/v1/templates/greet/rollback", json={"to": "1.0.0"})
    assert back.status_code == 201, back.text
    assert back.json()["version"] == "1.3.1"
    assert back.json()["text"] == greet(version="1.3.1", note="good")
    assert [one["version"] for one in back.json()["followers"]] == ["1.3.1"]
    assert (await client.get("/v1/agents/a")).json()["version"] == "1.3.1"
    newest = (await client.get("/v1/templates/greet")).json()["version"]
    assert newest == "1.3.1"
    same = await client.post("/v1/templates/greet/rollback", json={"to": "1.3.1"})
    assert (same.status_code, same.json()["code"]) == (409, "already_newest")
    gone = await client.post("/v1/templates/greet/rollback", json={"to": "9.0.0"})
    assert gone.status_code == 404
