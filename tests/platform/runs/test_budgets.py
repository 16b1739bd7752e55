"""Budgets: what a run may use, also when its branches spend at the same time."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.doubles.model_server import Fault, Json, ModelServer, Says, says
from tests.platform.runs.conftest import Run

from treadle.agents.values import JsonObject
from treadle.platform.settings import Settings
from treadle.workers.process import WorkerService

pytestmark = pytest.mark.slow

SIX = """\
treadle: 1
name: six
version: 1.0.0
budget: {BUDGET}
nodes:
  each:
    use: map
    over: [1, 2, 3, 4, 5, 6]
    as: number
    concurrency: 6
    nodes:
      ask: {use: llm, with: {prompt: "Say ${{ number }}"}}
    output: ${{ ask }}
outputs: {all: "${{ each }}"}
"""
STEPS = """\
treadle: 1
name: steps
version: 1.0.0
budget: {BUDGET}
nodes:
  a: {use: set, with: {x: 1}}
  b: {use: set, with: {x: "${{ a.x }}"}}
  c: {use: set, with: {x: "${{ b.x }}"}}
  d: {use: set, with: {x: "${{ c.x }}"}}
outputs: {x: "${{ d.x }}"}
"""
SLOW = """\
treadle: 1
name: slow
version: 1.0.0
budget: {wall: 300ms, on_exceed: fail}
nodes:
  rest: {use: llm, with: {prompt: Hello}}
  more: {use: llm, with: {prompt: "${{ rest }}"}}
"""


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer(says("Hello there.")) as server:  # 10 tokens in, 5 out
        yield server


@pytest.fixture
def settings(settings: Settings, model: ModelServer) -> Settings:
    dear = f"dear: {{url: '{model.url}', price: {{input: 0, output: 1000000}}}}\n"
    (settings.home / "models.yaml").write_text(dear)
    return settings.model_copy(update={"model_url": model.url, "model_name": "any"})


async def start(client: httpx.AsyncClient, template: str) -> JsonObject:
    answer = await client.post("/v1/runs", json={"template": template})
    assert answer.status_code == 202, answer.text
    run: JsonObject = answer.json()
    return run


async def until(client: httpx.AsyncClient, run: JsonObject, status: str) -> JsonObject:
    async with asyncio.timeout(60):
        while True:
            shown: JsonObject = (await client.get(f"/v1/runs/{run['id']}")).json()
            if shown["status"] == status:
                return shown
            await asyncio.sleep(0.05)


def _usage(written: int) -> Json:
    return {"prompt_tokens": 10, "completion_tokens": written}


def kinds(run: JsonObject) -> list[object]:
    waits = run["waiting_for"]
    assert isinstance(waits, list)
    return [wait["kind"] for wait in waits if isinstance(wait, dict)]


@pytest.mark.parametrize(
    ("budget", "calls", "raised"),
    [("model_calls: 4", 4, {"model_calls": 6}), ("tokens: 60", 4, {"tokens": 10_000})],
)
async def test_parallel_calls_stay_within_the_budget_and_go_on_when_it_is_raised(
    client: httpx.AsyncClient,
    worker: WorkerService,
    model: ModelServer,
    budget: str,
    calls: int,
    raised: JsonObject,
) -> None:
    run = await start(client, SIX.replace("BUDGET", budget))
    waiting = await until(client, run, "waiting")
    assert kinds(waiting) == ["budget"]
    assert model.calls <= calls

    resumed = await client.post(f"/v1/runs/{run['id']}/resume", json={"budget": raised})
    assert resumed.status_code == 202, resumed.text
    done = await until(client, run, "succeeded")
    assert done["outputs"] == {"all": ["Hello there."] * 6}
    assert model.calls == 6


async def test_a_run_fails_over_its_budget_if_it_says_so(run: Run, model: ModelServer) -> None:
    failed = await run(SIX.replace("BUDGET", "model_calls: 4, on_exceed: fail"))
    assert failed["status"] == "failed"
    assert isinstance(failed["error"], dict)
    assert (failed["error"]["class"], failed["error"]["code"]) == ("budget", "over_model_calls")
    assert model.calls == 4


@pytest.mark.parametrize(("most", "status"), [(3, "failed"), (4, "succeeded")])
async def test_steps_are_counted_before_they_begin(run: Run, most: int, status: str) -> None:
    ended = await run(STEPS.replace("BUDGET", f"steps: {most}, on_exceed: fail"))
    assert ended["status"] == status
    steps = ended["steps"]
    assert isinstance(steps, list)
    assert sum(isinstance(s, dict) and s["status"] == "succeeded" for s in steps) == most


async def test_a_run_that_takes_too_long_begins_nothing_more(
    client: httpx.AsyncClient, worker: WorkerService, model: ModelServer
) -> None:
    def slow(_: Json) -> Says:
        time.sleep(0.6)
        return says("late")

    model.turns = [slow]
    failed = await until(client, await start(client, SLOW), "failed")
    assert isinstance(failed["error"], dict)
    assert (failed["error"]["class"], failed["error"]["code"]) == ("budget", "over_budget")
    assert model.calls == 1


@pytest.mark.parametrize(("most", "calls"), [(20, 4), (22, 5)])
async def test_no_call_costs_more_than_is_left(
    run: Run, model: ModelServer, most: int, calls: int
) -> None:
    """Every token of an answer costs 1 USD: of 22 two are left for a last one, which is told."""
    text = SIX.replace("BUDGET", f"cost_usd: {most}, on_exceed: fail")
    asked = 'prompt: "Say ${{ number }}", model: dear, max_tokens: 5'
    model.turns = [lambda body: says("x", usage=_usage(min(5, body["max_tokens"])))]
    failed = await run(text.replace('prompt: "Say ${{ number }}"', asked))
    assert isinstance(failed["error"], dict)
    assert failed["error"]["code"] == "over_cost_usd"
    assert model.calls == calls
    assert isinstance(failed["usage"], dict)
    assert failed["usage"]["cost_usd"] == most


async def test_a_wrong_budget_changes_nothing(
    client: httpx.AsyncClient, worker: WorkerService, model: ModelServer
) -> None:
    run = await start(client, SIX.replace("BUDGET", "model_calls: 1"))
    await until(client, run, "waiting")
    refused = await client.post(f"/v1/runs/{run['id']}/resume", json={"budget": {"tokens": -1}})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


async def test_a_cancelled_run_leaves_its_model_within_two_seconds(
    client: httpx.AsyncClient, worker: WorkerService, model: ModelServer
) -> None:
    model.turns = [Fault.SILENCE]
    run = await start(client, SIX.replace("BUDGET", "model_calls: 6"))
    async with asyncio.timeout(60):
        while model.calls == 0:  # noqa: ASYNC110 - it is another thread's
            await asyncio.sleep(0.02)
    cancelled = await client.post(f"/v1/runs/{run['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert await asyncio.to_thread(model.left.wait, 2)
