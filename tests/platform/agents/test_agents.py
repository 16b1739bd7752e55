"""Agents: a template at a version, and what is bound to it."""

from typing import Any

import httpx
import pytest
from tests.platform.conftest import NewTenant
from tests.platform.templates.texts import fetch, greet

pytestmark = pytest.mark.slow

YAML = {"Content-Type": "application/yaml"}


async def publish(client: httpx.AsyncClient, text: str, name: str) -> None:
    answer = await client.put(f"/v1/templates/{name}", content=text, headers=YAML)
    assert answer.status_code in {200, 201}, answer.text


async def make_connection(client: httpx.AsyncClient) -> str:
    body = {"type": "http", "name": "crm", "auth": "bearer", "secret": "x", "hosts": ["crm.test"]}
    identifier: str = (await client.post("/v1/connections", json=body)).json()["id"]
    return identifier


async def test_an_agent_is_made_shown_listed_and_deleted(client: httpx.AsyncClient) -> None:
    await publish(client, greet(), "greet")
    settings = {"model": "small", "budget": {"tokens": 10}, "input_defaults": {"who": "you"}}
    body = {"name": "greeter", "template": "greet", "settings": settings, "triggers": True}
    made = await client.post("/v1/agents", json=body)
    assert made.status_code == 201
    agent = made.json()
    assert (agent["template"], agent["version"], agent["origin"]) == ("greet", "1.0.0", "own")
    assert agent["settings"] == settings
    assert [trigger["use"] for trigger in agent["triggers"]] == ["schedule"]
    assert agent["inputs"]["who"] == {"type": "string", "default": "world"}
    for key in (agent["id"], "greeter"):
        assert (await client.get(f"/v1/agents/{key}")).json() == agent
    assert (await client.get("/v1/agents")).json() == {"items": [agent], "next": None}
    assert (await client.delete("/v1/agents/greeter")).status_code == 204
    gone = await client.get("/v1/agents/greeter")
    assert (gone.status_code, gone.json()["code"]) == (404, "agent_not_found")


async def test_an_agent_keeps_its_version(client: httpx.AsyncClient) -> None:
    await publish(client, greet(), "greet")
    await client.post("/v1/agents", json={"name": "a", "template": "greet@1.0.0"})
    await publish(client, greet(version="1.1.0"), "greet")
    assert (await client.get("/v1/agents/a")).json()["version"] == "1.0.0"
    moved = await client.patch("/v1/agents/a", json={"version": "1.x"})
    assert (moved.status_code, moved.json()["version"]) == (200, "1.1.0")


async def test_a_template_may_be_given_as_text_or_object(client: httpx.AsyncClient) -> None:
    nodes = {"a": {"use": "set", "with": {"x": 1}}}
    template = {"treadle": 1, "name": "inline", "version": "1.0.0", "nodes": nodes}
    template |= {"outputs": {"x": "${{ a.x }}"}}
    for name, given in (("by-text", greet("inline")), ("by-object", template)):
        made = await client.post("/v1/agents", json={"name": name, "template": given})
        assert (made.status_code, made.json()["origin"]) == (201, "text")
    assert (await client.get("/v1/templates/inline")).status_code == 404


async def test_a_bundled_template_needs_no_publishing(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/agents", json={"name": "seo", "template": "keyword-research"})
    assert (made.status_code, made.json()["origin"]) == (201, "bundled")


async def test_a_name_is_taken_once(client: httpx.AsyncClient) -> None:
    body = {"name": "a", "template": greet()}
    assert (await client.post("/v1/agents", json=body)).status_code == 201
    again = await client.post("/v1/agents", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "agent_exists")
    await client.post("/v1/agents", json=body | {"name": "b"})
    renamed = await client.patch("/v1/agents/b", json={"name": "a"})
    assert (renamed.status_code, renamed.json()["code"]) == (409, "agent_exists")


async def test_connections_are_bound_by_id(client: httpx.AsyncClient) -> None:
    crm = await make_connection(client)
    body = {"name": "a", "template": fetch(), "connections": {"crm": crm}}
    made = await client.post("/v1/agents", json=body)
    assert (made.status_code, made.json()["connections"]) == (201, {"crm": crm})


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"connections": {}}, "connections.crm", "'crm' is not bound"),
        ({"connections": {"crm": "nothing"}}, "connections.crm", "no connection 'nothing'"),
        (
            {"settings": {"input_defaults": {"x": 1}}},
            "settings.input_defaults.x",
            "unknown input `x`",
        ),
        ({"settings": {"budget": {"tokens": -1}}}, "settings.budget.tokens", None),
        ({"settings": {"budget": {"wall": "soon"}}}, "settings.budget.wall", None),
        ({"settings": {"budget": {"token": 1}}}, "settings.budget.token", None),
        ({"triggers": [{"use": "schedule", "cron": "x"}]}, "triggers[0].cron", None),
        ({"triggers": [{"use": "nothing"}]}, "triggers[0].use", None),
    ],
)
async def test_what_does_not_fit_is_422_and_named(
    client: httpx.AsyncClient, change: dict[str, Any], path: str, message: str | None
) -> None:
    crm = await make_connection(client)
    body = {"name": "a", "template": fetch(), "connections": {"crm": crm}} | change
    answer = await client.post("/v1/agents", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "agent_invalid")
    issue = answer.json()["issues"][0]
    assert (issue["path"], issue["line"]) == (path, None)
    assert message is None or issue["message"] == message


async def test_anothers_connection_cannot_be_bound(
    client: httpx.AsyncClient, new_tenant: NewTenant
) -> None:
    theirs = await make_connection((await new_tenant()).client)
    body = {"name": "a", "template": fetch(), "connections": {"crm": theirs}}
    answer = await client.post("/v1/agents", json=body)
    assert answer.status_code == 422
    assert answer.json()["issues"][0]["message"] == f"no connection {theirs!r}"


async def test_input_defaults_are_checked_by_type(client: httpx.AsyncClient) -> None:
    settings = {"input_defaults": {"who": 1}}
    body = {"name": "a", "template": greet(), "settings": settings}
    answer = await client.post("/v1/agents", json=body)
    assert answer.status_code == 422
    assert answer.json()["issues"][0]["path"] == "settings.input_defaults.who"


async def test_a_list_of_triggers_replaces_the_proposed(client: httpx.AsyncClient) -> None:
    triggers = [{"use": "schedule", "every": "1h"}, {"use": "webhook"}]
    body = {"name": "a", "template": greet(), "triggers": triggers}
    made = await client.post("/v1/agents", json=body)
    assert [trigger["use"] for trigger in made.json()["triggers"]] == ["schedule", "webhook"]
    renamed = await client.patch("/v1/agents/a", json={"name": "b"})
    kept = [{**trigger, "secret": None} for trigger in made.json()["triggers"]]
    assert renamed.json()["triggers"] == kept
    none = await client.patch("/v1/agents/b", json={"triggers": False})
    assert none.json()["triggers"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "a", "template": "nothing"}, 404, "template_not_found"),
        ({"name": "a", "template": "treadle: 1\n"}, 422, "template_invalid"),
        ({"name": "a", "template": greet(), "version": "1.0.0"}, 422, "invalid"),
        ({"name": "a/b", "template": greet()}, 422, "invalid_request"),
        ({"name": "a"}, 422, "invalid_request"),
        ({"name": "a", "template": greet(), "secrets": 1}, 422, "invalid_request"),
    ],
)
async def test_wrong_bodies_are_refused(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await client.post("/v1/agents", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_template_in_use_cannot_be_deleted(client: httpx.AsyncClient) -> None:
    await publish(client, greet(), "greet")
    await client.post("/v1/agents", json={"name": "greeter", "template": "greet"})
    refused = await client.delete("/v1/templates/greet")
    assert (refused.status_code, refused.json()["code"]) == (409, "template_in_use")
    assert "'greeter'" in refused.json()["detail"]
    await client.delete("/v1/agents/greeter")
    assert (await client.delete("/v1/templates/greet")).status_code == 204


async def test_anothers_agent_is_404(client: httpx.AsyncClient, new_tenant: NewTenant) -> None:
    made = (await client.post("/v1/agents", json={"name": "a", "template": greet()})).json()
    stranger = (await new_tenant()).client
    for key in (made["id"], "a"):
        for answer in (
            await stranger.get(f"/v1/agents/{key}"),
            await stranger.patch(f"/v1/agents/{key}", json={"name": "x"}),
            await stranger.delete(f"/v1/agents/{key}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found")
