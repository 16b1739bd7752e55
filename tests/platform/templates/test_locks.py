"""`template:` nodes mean what they meant when their template was published."""

import httpx
import pytest
from tests.platform.runs.conftest import Run, database, run, settings, worker

from treadle.agents.values import JsonObject

__all__ = ["database", "run", "settings", "worker"]
pytestmark = pytest.mark.slow

CHILD = """\
treadle: 1
name: child
version: {version}
inputs: {{x: {{type: integer}}}}
nodes: {{a: {{use: set, with: {{v: "${{{{ inputs.x + {more} }}}}"}}}}}}
outputs: {{v: "${{{{ a.v }}}}"}}
"""
PARENT = """\
treadle: 1
name: {name}
version: 1.0.0
nodes: {{c: {{use: "template:{child}", with: {{{given}}}}}}}
outputs: {{v: "${{{{ c.v }}}}"}}
"""


async def put(client: httpx.AsyncClient, name: str, text: str) -> httpx.Response:
    headers = {"Content-Type": "application/yaml"}
    return await client.put(f"/v1/templates/{name}", content=text, headers=headers)


def child(version: str, more: int) -> str:
    return CHILD.format(version=version, more=more)


def parent(name: str = "parent", child: str = "child@^1", given: str = "x: 1") -> str:
    return PARENT.format(name=name, child=child, given=given)


async def output(run: Run, template: str) -> object:
    shown: JsonObject = await run(template)
    assert shown["status"] == "succeeded", shown
    assert isinstance(shown["outputs"], dict)
    return shown["outputs"]["v"]


async def test_a_published_version_keeps_its_children(run: Run, client: httpx.AsyncClient) -> None:
    await put(client, "child", child("1.0.0", 1))
    assert (await put(client, "parent", parent())).status_code == 201
    grandparent = parent("grandparent", "parent", "")
    assert (await put(client, "grandparent", grandparent)).status_code == 201
    await put(client, "child", child("1.1.0", 100))
    assert await output(run, "parent") == 2
    assert await output(run, "grandparent") == 2
    assert await output(run, parent("other")) == 101  # a text that was never published
    await client.delete("/v1/templates/parent")
    await put(client, "parent", parent())
    assert await output(run, "parent") == 101


async def test_a_child_that_is_not_there_or_does_not_fit_stops_the_publishing(
    client: httpx.AsyncClient,
) -> None:
    await put(client, "child", child("1.0.0", 1))
    for text, path, words in (
        (parent(child="nobody"), "nodes.c.use", "no template 'nobody'"),
        (parent(child="child@^2"), "nodes.c.use", "child@^2"),
        (parent(given="y: 1, x: 1"), "nodes.c.with.y", "has no input `y`"),
        (parent(given=""), "nodes.c.with", "needs the input `x`"),
    ):
        answer = await put(client, "parent", text)
        assert answer.status_code == 422, text
        (issue,) = answer.json()["issues"]
        assert (issue["path"], issue["line"]) == (path, 4)
        assert words in issue["message"]
    assert (await client.get("/v1/templates/parent")).status_code == 404


async def test_no_template_runs_itself_through_another(client: httpx.AsyncClient) -> None:
    await put(client, "child", child("1.0.0", 1))
    await put(client, "parent", parent())
    again = parent("child", "parent", "").replace("1.0.0", "1.1.0")
    answer = await put(client, "child", again)
    assert answer.status_code == 422
    assert "may not run itself" in answer.json()["issues"][0]["message"]
