"""Streams of events: pieces of answers in them, and who reads too slowly; the sockets are real."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from tests.doubles.model_server import ModelServer, says

from treadle.platform.runs.streams import EventStream
from treadle.platform.settings import Settings
from treadle.workers.process import WorkerService

NESTED = """\
treadle: 1
name: nested
version: 1.0.0
nodes:
  alone:
    use: loop
    max: 2
    nodes: {again: {use: llm, with: {prompt: Again}}}
    until: "false"
    output: ${{ again }}
  rows:
    use: map
    over: [a, b]
    as: row
    nodes:
      refine:
        use: loop
        max: 2
        nodes:
          ask: {use: llm, with: {prompt: "Ask ${{ row }}"}}
          cells:
            use: map
            over: [x, y]
            as: cell
            nodes: {fill: {use: llm, with: {prompt: "Fill ${{ row }} ${{ cell }}"}}}
            output: ${{ fill }}
        until: "false"
        output: ${{ cells }}
    output: ${{ refine }}
outputs: {rows: "${{ rows }}", alone: "${{ alone }}"}
"""


class Source:
    """Endless events; `is_closed` when nobody makes them any more."""

    def __init__(self) -> None:
        self.is_closed = asyncio.Event()

    async def events(self) -> AsyncGenerator[str]:
        try:
            while True:
                await asyncio.sleep(0)  # as a run's events: a gone reader must be noticed
                yield f"data: {'x' * 65_536}\n\n"
        finally:
            self.is_closed.set()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def port(source: Source) -> AsyncIterator[int]:
    async def stream(_: Request) -> EventStream:
        return EventStream(source.events(), patience_s=3)

    app = Starlette(routes=[Route("/", stream)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    server.force_exit = True
    await task


async def read_some(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.read(15)).startswith(b"HTTP/1.1 200 OK")
    return reader, writer


@pytest.mark.slow
async def test_a_reader_who_takes_nothing_is_cut(port: int, source: Source) -> None:
    _, writer = await read_some(port)
    async with asyncio.timeout(20):
        await source.is_closed.wait()
    writer.close()


@pytest.mark.slow
async def test_a_reader_who_goes_on_reading_is_not(port: int, source: Source) -> None:
    reader, writer = await read_some(port)
    for _ in range(30):
        await asyncio.sleep(0.05)
        await reader.readexactly(65_536)
    assert not source.is_closed.is_set()
    writer.close()
    async with asyncio.timeout(20):
        await source.is_closed.wait()


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer(says("Hello there.")) as server:
        yield server


@pytest.fixture
def settings(settings: Settings, model: ModelServer) -> Settings:
    return settings.model_copy(update={"model_url": model.url, "model_name": "any"})


@pytest.mark.slow
async def test_pieces_of_answers_name_their_step_as_its_own_events_do(
    client: httpx.AsyncClient, worker: WorkerService
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)  # time enough to begin to follow it
    order = {"template": NESTED, "run_at": soon.isoformat()}
    answer = await client.post("/v1/runs", json=order)
    assert answer.status_code == 202, answer.text
    told = await client.get(f"/v1/runs/{answer.json()['id']}/events", timeout=60)
    events = [_read(block) for block in told.text.split("\n\n") if "data: " in block]
    deltas = [event for event in events if event["type"] == "step.delta"]
    assert {tuple(delta) for delta in deltas} == {
        ("run", "type", "at", "node", "path", "item", "text")
    }
    assert all(datetime.fromisoformat(delta["at"]) >= soon for delta in deltas)
    steps = {event["path"]: event for event in events if event["type"] == "step.succeeded"}
    assert all(
        (delta["node"], delta["item"])
        == (steps[delta["path"]]["node"], steps[delta["path"]]["item"])
        for delta in deltas
    )
    items = {delta["path"]: delta["item"] for delta in deltas}
    passes = [(row, turn) for row in (0, 1) for turn in (0, 1)]
    assert items == {
        **{f"alone[{turn}].again": None for turn in (0, 1)},
        **{f"rows[{row}].refine[{turn}].ask": row for row, turn in passes},
        **{
            f"rows[{row}].refine[{turn}].cells[{cell}].fill": [row, cell]
            for row, turn in passes
            for cell in (0, 1)
        },
    }


def _read(block: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(block.partition("data: ")[2])
    return event
