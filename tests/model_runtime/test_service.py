"""The engine's thread serves coroutines, lets go of those who leave, and leaves none waiting."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest
from tests.model_runtime.serving import OPTIONS, Letters, request, run, small_model

from treadle.model_runtime.engine import Engine
from treadle.model_runtime.errors import EngineStopped, TooLong
from treadle.model_runtime.request import Request
from treadle.model_runtime.service import EngineService

MODEL = small_model()


def engine() -> Engine:
    return Engine(MODEL, OPTIONS, tokenizer=Letters())


@asynccontextmanager
async def running() -> AsyncGenerator[EngineService]:
    service = EngineService(engine())
    service.start()
    yield service
    await service.stop()


async def tokens(service: EngineService, item: Request) -> list[int]:
    return [choice.token async for part in service.stream(item) for choice in part.choices]


async def test_many_coroutines_get_their_own_answers() -> None:
    items = [request(f"r{number}") for number in range(6)]
    async with running() as service:
        found = await asyncio.gather(*(tokens(service, item) for item in items))
    assert dict(zip((item.id for item in items), found, strict=True)) == run(engine(), items)


async def test_whoever_leaves_frees_the_blocks() -> None:
    async with running() as service:
        async with aclosing(service.stream(request("r", max_tokens=200))) as stream:
            await anext(stream)
        other = await tokens(service, request("s", max_tokens=1))
        assert len(other) == 1
        load = service.load()
        assert (load.running, load.waiting, load.free_blocks) == (0, 0, OPTIONS.blocks)


async def test_a_refusal_reaches_the_one_who_asked() -> None:
    async with running() as service:
        with pytest.raises(TooLong):
            await tokens(service, request("r", [1] * 5_000))
        assert len(await tokens(service, request("s", max_tokens=2))) == 2


async def test_a_stopping_service_tells_those_who_wait() -> None:
    service = EngineService(engine())
    service.start()
    stream = service.stream(request("r", max_tokens=400))
    await anext(stream)
    await service.stop()
    with pytest.raises(EngineStopped):
        async for _ in stream:
            pass
    with pytest.raises(EngineStopped):
        await tokens(service, request("s"))
    assert not service.alive


async def test_a_failing_engine_tells_those_who_wait(caplog: pytest.LogCaptureFixture) -> None:
    """A token that the vocabulary lacks breaks the model's lookup, as a bug would."""
    async with running() as service:
        with pytest.raises(EngineStopped):
            await tokens(service, replace(request("r"), prompt=[10_000]))
        assert not service.alive
    assert "engine.failed" in caplog.text
