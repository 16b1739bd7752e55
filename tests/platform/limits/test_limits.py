"""Limits as a workspace sets them and sees them; `engine/test_turns.py` shows that they hold."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event

import httpx
import pytest
from tests.doubles.model_server import Json, ModelServer, Says, says
from tests.platform.conftest import NewTenant
from tests.platform.runs.conftest import database, settings, worker

from treadle.agents.values import JsonObject
from treadle.platform.settings import Settings
from treadle.workers.process import WorkerService

__all__ = ["database", "settings", "worker"]

pytestmark = pytest.mark.slow

ASKS = """\
treadle: 1
name: asks
version: 1.0.0
nodes: {ask: {use: llm, with: {prompt: Hello}}}
outputs: {text: "${{ ask }}"}
"""
CAPACITY = {"kind": "capacity", "id": "capacity", "node": None, "until": None}


@pytest.fixture
def door() -> Event:
    """The model answers when it is set."""
    return Event()


@pytest.fixture
def model(door: Event) -> Iterator[ModelServer]:
    def answer(_: Json) -> Says:
        assert door.wait(60)
        return says("Hello there.")

    with ModelServer(answer) as server:
        yield server
        door.set()


@pytest.fixture
def asking(settings: Settings, model: ModelServer) -> None:
    """Let the worker, which is made after this, ask the model."""
    (settings.home / "models.yaml").write_text(f"any: {{url: '{model.url}'}}\n")


async def start(client: httpx.AsyncClient, **fields: object) -> str:
    answer = await client.post("/v1/runs", json={"template": ASKS, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def show(client: httpx.AsyncClient, run: str) -> JsonObject:
    shown: JsonObject = (await client.get(f"/v1/runs/{run}")).json()
    return shown


async def until(client: httpx.AsyncClient, run: str, status: str) -> JsonObject:
    async with asyncio.timeout(60):
        while True:
            shown = await show(client, run)
            if shown["status"] == status:
                return shown
            await asyncio.sleep(0.05)


async def test_limits_are_replaced_as_a_whole(new_tenant: NewTenant) -> None:
    client = (await new_tenant()).client
    assert (await client.get("/v1/limits")).json() == {"runs": None, "templates": {}}
    wanted = {"runs": 20, "templates": {"keyword-research": 2}}
    assert (await client.put("/v1/limits", json=wanted)).json() == wanted
    assert (await client.put("/v1/limits", json={"runs": 5})).json() == {
        "runs": 5,
        "templates": {},
    }
    assert (await client.get("/v1/limits")).json() == {"runs": 5, "templates": {}}
    other = (await new_tenant()).client
    assert (await other.get("/v1/limits")).json() == {"runs": None, "templates": {}}


@pytest.mark.parametrize(
    "body", [{"runs": 0}, {"runs": "many"}, {"templates": {"No Name": 1}}, {"speed": 3}]
)
async def test_what_is_no_limit_is_refused(new_tenant: NewTenant, body: dict[str, object]) -> None:
    client: httpx.AsyncClient = (await new_tenant()).client
    answer = await client.put("/v1/limits", json=body)
    assert answer.status_code == 422
    assert answer.json()["issues"]


@pytest.mark.parametrize("limits", [{"runs": 1}, {"templates": {"asks": 1}}])
async def test_a_run_that_a_limit_holds_back_says_so(
    client: httpx.AsyncClient,
    asking: None,
    worker: WorkerService,
    door: Event,
    limits: dict[str, object],
) -> None:
    assert (await client.put("/v1/limits", json=limits)).status_code == 200
    first = await start(client)
    assert (await until(client, first, "running"))["waiting_for"] == []
    later = datetime.now(UTC) + timedelta(hours=1)
    second, third = await start(client), await start(client, run_at=later.isoformat())
    for _ in range(5):
        shown = await show(client, second)
        assert (shown["status"], shown["waiting_for"]) == ("queued", [CAPACITY])
        await asyncio.sleep(0.05)
    assert (await show(client, third))["waiting_for"] == []  # it waits for its time
    listed = (await client.get("/v1/runs", params={"status": "queued"})).json()["items"]
    assert {one["id"]: one["waiting_for"] for one in listed} == {second: [CAPACITY], third: []}
    door.set()
    for run in (first, second):
        assert (await until(client, run, "succeeded"))["waiting_for"] == []


async def test_a_run_waits_for_no_limit_that_is_not_reached(client: httpx.AsyncClient) -> None:
    assert (await client.put("/v1/limits", json={"runs": 1})).status_code == 200
    shown = await show(client, await start(client))
    assert (shown["status"], shown["waiting_for"]) == ("queued", [])
