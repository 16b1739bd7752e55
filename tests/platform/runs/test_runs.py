"""What the API shows of runs: shapes, values, lists, errors."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.platform.conftest import NewTenant
from tests.platform.runs.conftest import Run

from treadle.agents.values import JsonObject
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import new_id

pytestmark = pytest.mark.slow

MANY = """\
treadle: 1
name: many
version: 2.0.0
inputs:
  words: {type: array, items: {type: string}}
  size: {type: integer, default: 1}
nodes:
  each:
    use: map
    over: ${{ inputs.words }}
    as: word
    nodes:
      loud: {use: set, with: {text: "${{ word | upper }}"}}
    output: ${{ loud.text }}
  never:
    use: set
    when: inputs.size > 1000000
    else: {nothing: true}
    with: {x: 1}
  big:
    use: set
    with: {rows: "${{ inputs.words }}", text: "${% for w in inputs.words %}${{ w }}${% endfor %}"}
outputs:
  loud: ${{ each }}
  never: ${{ never }}
  text: ${{ big.text }}
"""
BROKEN = """\
treadle: 1
name: broken
version: 1.0.0
inputs:
  row: {type: object}
nodes:
  read: {use: set, with: {x: "${{ inputs.row.missing.deep }}"}}
  after: {use: set, with: {x: "${{ read.x }}"}}
outputs: {x: "${{ after.x }}"}
"""


async def test_a_run_has_the_shape_of_the_contract(run: Run, client: httpx.AsyncClient) -> None:
    shown = await run(MANY, words=["a", "b"])
    assert list(shown) == [
        "id", "root_id", "agent", "template", "version", "status", "inputs", "outputs", "error",
        "usage", "steps", "waiting_for", "created_at", "started_at", "finished_at",
    ]  # fmt: skip
    assert shown["root_id"] == shown["id"]
    assert (shown["agent"], shown["template"], shown["version"]) == (None, "many", "2.0.0")
    assert shown["inputs"] == {"words": ["a", "b"], "size": 1}
    assert shown["outputs"] == {"loud": ["A", "B"], "never": {"nothing": True}, "text": "ab"}
    assert (shown["error"], shown["waiting_for"]) == (None, [])
    assert shown["usage"] == {
        "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "model_calls": 0,
        "cost_usd": None,
    }  # fmt: skip
    steps = shown["steps"]
    assert isinstance(steps, list)
    assert [(s["id"], s["status"]) for s in steps if isinstance(s, dict)] == [
        ("each", "succeeded"), ("never", "skipped"), ("big", "succeeded"),
    ]  # fmt: skip
    assert isinstance(steps[0], dict)
    assert steps[0]["counts"] == {"succeeded": 2}
    assert (await client.get(f"/v1/runs/{shown['id']}")).json() == shown


async def test_steps_are_filtered_by_path_and_status(run: Run, client: httpx.AsyncClient) -> None:
    shown = await run(MANY, words=["a", "b", "c"])

    async def paths(**query: str | int) -> list[str]:
        answer = await client.get(f"/v1/runs/{shown['id']}/steps", params=query)
        assert answer.status_code == 200, answer.text
        return [step["path"] for step in answer.json()["items"]]

    assert sorted(await paths()) == [
        "big", "each", "each[0].loud", "each[1].loud", "each[2].loud", "never",
    ]  # fmt: skip
    assert await paths(path="each[1].loud") == ["each[1].loud"]
    assert len(await paths(path="each.loud")) == 3
    assert await paths(status="skipped") == ["never"]
    (item,) = (
        await client.get(f"/v1/runs/{shown['id']}/steps", params={"path": "each[1].loud"})
    ).json()["items"]
    assert (item["node"], item["item"], item["output"]) == ("each.loud", 1, {"text": "B"})
    first = (await client.get(f"/v1/runs/{shown['id']}/steps", params={"limit": 4})).json()
    rest = await paths(limit=4, cursor=first["next"])
    assert len(first["items"]) == 4
    assert len(rest) == 2


async def test_a_large_output_travels_by_reference(run: Run, client: httpx.AsyncClient) -> None:
    words = ["x" * 100] * 400
    shown = await run(MANY, words=words)
    assert shown["inputs"] == {"words": words, "size": 1}
    output = step(shown, "big")["output"]
    assert isinstance(output, dict)
    assert set(output) == {"$ref", "size"}
    value = await client.get(f"/v1/runs/{shown['id']}/values/{output['$ref']}")
    assert value.json() == {"rows": words, "text": "x" * 40_000}
    assert len(value.content) >= 40_000
    missing = await client.get(f"/v1/runs/{shown['id']}/values/{'0' * 64}")
    assert (missing.status_code, missing.json()["code"]) == (404, "value_not_found")


async def test_a_failed_run_says_which_step_and_why(run: Run) -> None:
    shown = await run(BROKEN, row={})
    assert (shown["status"], shown["outputs"]) == ("failed", None)
    error = shown["error"]
    assert isinstance(error, dict)
    assert (error["node"], error["path"], error["class"]) == ("read", "read", "invalid_input")
    assert "missing" in str(error["message"])
    assert [step(shown, name)["status"] for name in ("read", "after")] == ["failed", "pending"]


def step(run: JsonObject, name: str) -> JsonObject:
    """A top-level step of a run."""
    steps = run["steps"]
    assert isinstance(steps, list)
    return next(one for one in steps if isinstance(one, dict) and one["id"] == name)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"inputs": {}}, "inputs.words"),
        ({"inputs": {"words": "no list"}}, "inputs.words"),
        ({"inputs": {"words": [], "word": 1}}, "inputs.word"),
        ({"inputs": {"words": []}, "wait_s": 61}, "wait_s"),
        ({"inputs": {"words": []}, "run_at": "2026-11-25T07:00:00"}, "run_at"),
        ({"inputs": {"words": []}, "surprise": 1}, "surprise"),
        ({"inputs": {"words": []}, "connections": {"crm": "x"}}, "connections.crm"),
    ],
)
async def test_a_wrong_order_is_refused_where_it_is_wrong(
    client: httpx.AsyncClient, body: dict[str, object], path: str
) -> None:
    answer = await client.post("/v1/runs", json={"template": MANY, **body})
    assert answer.status_code == 422, answer.text
    assert [issue["path"] for issue in answer.json()["issues"]] == [path]


async def test_a_wrong_template_is_refused_with_its_issues(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/runs", json={"template": "treadle: 1\nname: x\n"})
    assert (answer.status_code, answer.json()["code"]) == (422, "template_invalid")
    assert {issue["path"] for issue in answer.json()["issues"]} >= {"version", "nodes"}


@pytest.mark.parametrize("call", ["", "/steps", "/events", "/artifacts", "/values/x"])
async def test_an_unknown_run_is_not_found(client: httpx.AsyncClient, call: str) -> None:
    for run in (str(new_id()), "no-id"):
        answer = await client.get(f"/v1/runs/{run}{call}")
        assert answer.status_code == 404
        if call != "/values/x":
            assert answer.json()["code"] == "run_not_found"


async def test_other_workspaces_see_nothing(run: Run, new_tenant: NewTenant) -> None:
    shown = await run(MANY, words=["a"])
    stranger = (await new_tenant()).client
    for call in ("", "/steps", "/events"):
        assert (await stranger.get(f"/v1/runs/{shown['id']}{call}")).status_code == 404
    assert (await stranger.post(f"/v1/runs/{shown['id']}/cancel")).status_code == 404
    assert (await stranger.get("/v1/runs")).json() == {"items": [], "next": None}


async def test_reading_and_starting_need_their_scopes(new_tenant: NewTenant) -> None:
    reader = await new_tenant(scopes=frozenset({Scope.RUNS_READ}))
    assert (await reader.client.get("/v1/runs")).status_code == 200
    answer = await reader.client.post("/v1/runs", json={"template": MANY, "inputs": {"words": []}})
    assert answer.status_code == 403


async def test_runs_are_listed_newest_first_and_filtered(
    run: Run, client: httpx.AsyncClient
) -> None:
    await client.put(
        "/v1/templates/many", content=MANY, headers={"content-type": "application/yaml"}
    )
    made = await client.post("/v1/agents", json={"name": "crier", "template": "many"})
    assert made.status_code == 201, made.text
    ids = [(await run(MANY, words=[])).get("id") for _ in range(3)]
    answer = await client.post("/v1/agents/crier/runs", json={"inputs": {"words": []}, "wait_s": 9})
    assert (answer.status_code, answer.json()["agent"]) == (200, "crier")
    await run(BROKEN, row={})

    async def listed(**query: str | int) -> list[str]:
        found = (await client.get("/v1/runs", params=query)).json()
        return [item["id"] for item in found["items"]]

    assert (await listed(template="many"))[1:] == list(reversed(ids))
    assert await listed(agent="crier") == [answer.json()["id"]]
    assert await listed(agent=made.json()["id"]) == [answer.json()["id"]]
    assert len(await listed(status="failed")) == 1
    page = (await client.get("/v1/runs", params={"limit": 2})).json()
    assert len(page["items"]) == 2
    assert len(await listed(limit=10, cursor=page["next"])) == 3
    assert (await client.get("/v1/runs", params={"agent": "nobody"})).status_code == 404
    assert (await client.get("/v1/runs", params={"status": "lost"})).status_code == 422


async def test_a_run_may_be_started_later(run: Run, client: httpx.AsyncClient) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    answer = await client.post(
        "/v1/runs", json={"template": MANY, "inputs": {"words": []}, "run_at": soon.isoformat()}
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    await run(MANY, words=[])
    shown = (await client.get(f"/v1/runs/{answer.json()['id']}")).json()
    assert shown["status"] == "queued"
    async with asyncio.timeout(60):
        while shown["finished_at"] is None:
            await asyncio.sleep(0.1)
            shown = (await client.get(f"/v1/runs/{shown['id']}")).json()
    assert datetime.fromisoformat(shown["started_at"]) >= soon


async def test_who_does_not_want_to_wait_longer_gets_the_run_as_it_is(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(
        "/v1/runs", json={"template": MANY, "inputs": {"words": []}, "wait_s": 0.2}
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


async def test_a_file_must_have_been_uploaded(client: httpx.AsyncClient) -> None:
    template = (
        "treadle: 1\nname: files\nversion: 1.0.0\n"
        "inputs:\n  sheet: {type: string, format: file}\n"
        "nodes:\n  a: {use: set, with: {id: '${{ inputs.sheet }}'}}\n"
    )

    async def start(file: str) -> httpx.Response:
        return await client.post("/v1/runs", json={"template": template, "inputs": {"sheet": file}})

    uploaded = await client.post("/v1/files", files={"file": ("a.csv", b"a,b", "text/csv")})
    assert uploaded.status_code == 201, uploaded.text
    assert (await start(uploaded.json()["id"])).status_code == 202
    for wrong in (str(new_id()), "no id"):
        answer = await start(wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "inputs_invalid")
        assert answer.json()["issues"][0]["path"] == "inputs.sheet"
