"""CPU-heavy tools run in another process, and their failures come back typed."""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.ports import Failed
from treadle.agents.values import JsonObject
from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.errors import ErrorClass, ToolError


class HeavyParams(Params):
    how: str


class HeavyResult(Result):
    process: int


@tool("probe.heavy", effect=Effect.READ, cpu_heavy=True)
def heavy(ctx: ToolContext, params: HeavyParams) -> HeavyResult:
    """Compute, or break in the way that is asked for."""
    match params.how:
        case "refuse":
            raise ToolError("no", error_class=ErrorClass.DENIED, code="refused")
        case "bug":
            raise ZeroDivisionError("oops")
        case "reach out":
            ctx.http.is_closed  # noqa: B018
        case "die":
            os._exit(9)
        case _:
            pass
    return HeavyResult(process=os.getpid())


@pytest.fixture
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        yield pool


async def run(stage: Stage, how: str) -> tuple[str, str] | None:
    """The failure's class and code, if it failed."""
    graph = compiled(f"a: {{use: probe.heavy, with: {{how: {how}}}}}", stage.world, tools=[heavy])
    outcome = await stage.run(graph)
    if isinstance(outcome, Failed):
        return outcome.error.error_class.value, outcome.error.code
    return None


async def test_a_heavy_tool_runs_in_another_process(
    stage: Stage, processes: ProcessPoolExecutor
) -> None:
    stage.processes = processes
    assert await run(stage, "compute") is None
    output = stage.journal.last("a").output
    assert isinstance(output, dict)
    assert output["process"] != os.getpid()


@pytest.mark.parametrize(
    ("how", "failure"),
    [
        ("refuse", ("denied", "refused")),
        ("bug", ("internal", "tool_crashed")),
        ("reach out", ("internal", "detached_context")),
        ("die", ("worker_crash", "process_died")),
    ],
)
async def test_its_failures_come_back_typed(
    stage: Stage, processes: ProcessPoolExecutor, how: str, failure: tuple[str, str]
) -> None:
    stage.processes = processes
    async with asyncio.timeout(60):
        assert await run(stage, how) == failure


async def test_without_a_pool_it_runs_in_a_thread(stage: Stage) -> None:
    assert await run(stage, "compute") is None
    output: JsonObject = {"process": os.getpid()}
    assert stage.journal.last("a").output == output
