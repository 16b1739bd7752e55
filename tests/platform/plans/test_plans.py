"""`POST /v1/agents/{agent}/plan`."""

import httpx
import pytest
from tests.platform.runs.conftest import database, run, settings, worker

from treadle.workers.process import WorkerService

__all__ = ["database", "run", "settings", "worker"]

TEXT = """\
treadle: 1
name: probe
version: 1.0.0
inputs: {names: {type: array, items: {type: string}}}
nodes:
  each:
    use: map
    over: ${{ inputs.names }}
    nodes: {hi: {use: set, with: "${{ item }}"}}
    output: ${{ hi }}
  page:
    use: web.fetch
    when: inputs.names | length > 3
    with: {url: "https://shop.example/x"}
outputs: {all: "${{ each }}"}
"""


@pytest.mark.slow
async def test_a_plan_has_bounds_and_after_a_run_what_it_took(
    client: httpx.AsyncClient, worker: WorkerService
) -> None:
    assert (
        await client.post("/v1/agents", json={"name": "probe", "template": TEXT})
    ).status_code == 201
    asked = {"inputs": {"names": ["a", "b"]}}
    plan = (await client.post("/v1/agents/probe/plan", json=asked)).json()
    assert (plan["basis"], plan["runs"]) == ("template", 0)
    assert plan["steps"] == {"low": 4, "high": 4}
    assert plan["manifest"]["hosts"] == ["shop.example"]
    ended = await client.post("/v1/agents/probe/runs", json={**asked, "wait_s": 20})
    assert ended.json()["status"] == "succeeded", ended.text
    plan = (await client.post("/v1/agents/probe/plan", json=asked)).json()
    assert (plan["basis"], plan["runs"]) == ("history", 1)
    assert plan["steps"]["high"] >= 4
    assert plan["tokens"] == {"low": 0, "high": 0}


@pytest.mark.slow
async def test_wrong_inputs_are_422_and_an_unknown_agent_404(client: httpx.AsyncClient) -> None:
    await client.post("/v1/agents", json={"name": "probe", "template": TEXT})
    refused = await client.post("/v1/agents/probe/plan", json={"inputs": {"names": 1}})
    assert refused.status_code == 422
    assert refused.json()["issues"][0]["path"] == "inputs.names"
    assert (await client.post("/v1/agents/none/plan", json={})).status_code == 404
