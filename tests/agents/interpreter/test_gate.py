"""Closing the gate: what has begun finishes, what has not leaves no entry."""

import asyncio

import pytest
from tests.agents.interpreter.doubles import VirtualClock, upstream_error
from tests.agents.interpreter.stage import Stage, compiled
from typing_extensions import override

from treadle.agents.errors import Blocked
from treadle.agents.interpreter import Closed, Gate
from treadle.agents.ports import Parked, Succeeded
from treadle.agents.values import JsonValue

TWO = """
one: {use: probe.send, with: {name: one}}
two: {use: probe.send, with: {name: "two-${{ one.name }}"}}
"""


@pytest.mark.parametrize("reason", [Closed.DRAIN, Closed.PAUSE, Closed.BUDGET])
async def test_running_steps_finish_and_the_run_parks(stage: Stage, reason: Closed) -> None:
    graph = compiled(TWO, stage.world)
    stage.world.hold("one")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("one")
    stage.gate.close(reason)
    stage.world.release("one")
    assert await running == Parked((), reason)
    assert stage.journal.statuses() == {"one": "succeeded"}
    stage.restart()
    assert isinstance(await stage.run(graph), Succeeded)
    assert stage.world.events == ["+one", "-one", "+two-one", "-two-one"]


async def test_cancel_stops_what_runs(stage: Stage) -> None:
    graph = compiled(TWO, stage.world)
    stage.world.hold("one")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("one")
    stage.gate.close(Closed.CANCEL)
    async with asyncio.timeout(60):
        assert await running == Parked((), "cancel")
    assert stage.journal.statuses() == {"one": "running"}
    assert stage.world.working == 0


async def test_cancel_after_drain_still_stops_what_runs(stage: Stage) -> None:
    graph = compiled(TWO, stage.world)
    stage.world.hold("one")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("one")
    stage.gate.close(Closed.DRAIN)
    stage.gate.close(Closed.CANCEL)
    async with asyncio.timeout(60):
        assert await running == Parked((), "cancel")


async def test_a_closed_gate_lets_nothing_begin(stage: Stage) -> None:
    stage.gate.close(Closed.PAUSE)
    graph = compiled("a: {use: set, with: 1}\nb: {use: probe.send, with: {name: b}}", stage.world)
    assert await stage.run(graph) == Parked((), "pause")
    assert stage.journal.entries == []
    assert stage.world.events == []


async def test_a_run_whose_last_step_was_running_ends_although_the_gate_closed(
    stage: Stage,
) -> None:
    graph = compiled("one: {use: probe.send, with: {name: one}}", stage.world)
    stage.world.hold("one")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("one")
    stage.gate.close(Closed.DRAIN)
    stage.world.release("one")
    assert isinstance(await running, Succeeded)


async def test_a_wait_before_the_next_attempt_ends_when_the_gate_closes(stage: Stage) -> None:
    class Endless(VirtualClock):
        @override
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    stage.clock = Endless()
    stage.world.breaks["one"] = [upstream_error()]
    graph = compiled("one: {use: probe.send, with: {name: one}, retry: {attempts: 3}}", stage.world)
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("one")
    await asyncio.sleep(0.01)
    stage.gate.close(Closed.DRAIN)
    async with asyncio.timeout(60):
        assert await running == Parked((), "drain")
    stage.restart()
    assert isinstance(await stage.run(graph), Succeeded)
    assert stage.world.effects("one") == 1


async def test_a_drained_map_goes_on_with_what_is_left(stage: Stage) -> None:
    graph = compiled(
        """
        each:
          use: map
          over: ${{ inputs.names }}
          concurrency: 2
          nodes: {hit: {use: probe.send, with: {name: "${{ item }}"}}}
          output: ${{ hit.name }}
        """,
        stage.world,
        rest='outputs: {all: "${{ each }}"}',
    )
    names: list[JsonValue] = [f"n{i}" for i in range(6)]
    stage.inputs = {"names": names}
    stage.world.hold("n0", "n1")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("n1")
    stage.gate.close(Closed.DRAIN)
    stage.world.release("n0", "n1")
    assert await running == Parked((), "drain")
    assert "n2" not in stage.world.keys
    stage.restart()
    assert await stage.outputs(graph) == {"all": names}
    assert {stage.world.events.count(f"+{name}") for name in names} == {1}


async def test_a_container_has_its_own_wall_time(stage: Stage) -> None:
    graph = compiled(
        """
        each:
          use: map
          over: [a, b]
          timeout: 20ms
          nodes: {hit: {use: probe.send, with: {name: "${{ item }}"}}}
          output: ${{ hit.name }}
          on_error: {value: ["${{ error.class }}"]}
        """,
        stage.world,
        rest='outputs: {all: "${{ each }}"}',
    )
    stage.world.hold("b")
    async with asyncio.timeout(60):
        assert await stage.outputs(graph) == {"all": ["timeout"]}
    assert stage.world.working == 0


def test_gates_nest_and_the_outer_reason_counts_first() -> None:
    outer = Gate()
    inner = Gate(outer)
    inner.close(Closed.FAILURE)
    assert (outer.reason, inner.reason) == (None, Closed.FAILURE)
    outer.close(Closed.DRAIN)
    assert inner.reason is Closed.DRAIN
    assert inner.own_reason is Closed.FAILURE
    with pytest.raises(Blocked, match="drain"):
        inner.check()
