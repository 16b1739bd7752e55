"""Streams of events and who reads them too slowly; the sockets are real."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from treadle.platform.runs.streams import EventStream


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


async def test_a_reader_who_takes_nothing_is_cut(port: int, source: Source) -> None:
    _, writer = await read_some(port)
    async with asyncio.timeout(20):
        await source.is_closed.wait()
    writer.close()


async def test_a_reader_who_goes_on_reading_is_not(port: int, source: Source) -> None:
    reader, writer = await read_some(port)
    for _ in range(30):
        await asyncio.sleep(0.05)
        await reader.readexactly(65_536)
    assert not source.is_closed.is_set()
    writer.close()
    async with asyncio.timeout(20):
        await source.is_closed.wait()
