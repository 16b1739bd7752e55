"""Whatever dies wherever: what is committed is not done again, and no effect happens twice."""

import asyncio
import random
from dataclasses import replace

import pytest
from tests.agents.interpreter.doubles import Crashed, MemoryJournal, World
from tests.agents.interpreter.stage import Stage, compiled
from typing_extensions import override

from treadle.agents.errors import LeaseLost
from treadle.agents.interpreter import Graph
from treadle.agents.ports import FINISHED, Parked, StepStatus, Succeeded

EVERY_KIND = """
start: {use: set, with: {names: [x, y, z]}}
first: {use: probe.send, with: {name: "first-${{ start.names | length }}"}}
skipped: {use: probe.send, when: "false", with: {name: never}}
each:
  use: map
  over: ${{ start.names }}
  as: name
  concurrency: 2
  nodes:
    in_item: {use: probe.send, with: {name: "${{ first.name }}-${{ name }}"}}
    after: {use: set, with: "${{ in_item.name }}!"}
  output: ${{ after }}
again:
  use: loop
  max: 2
  nodes: {one_pass: {use: probe.send, with: {name: "pass-${{ loop.index }}"}}}
  output: ${{ one_pass.name }}
pick:
  use: switch
  cases:
    - when: first.name == 'first-3'
      nodes: {in_case: {use: probe.send, with: {name: case}}}
      output: ${{ in_case.name }}
last: {use: probe.send, with: {name: "${{ each | join(',') }} ${{ again }} ${{ pick }}"}}
"""
OUTPUTS = 'outputs: {last: "${{ last.name }}"}'
EXPECTED = {"last": "first-3-x!,first-3-y!,first-3-z! pass-1 case"}


def graph_of(world: World) -> Graph:
    return compiled(EVERY_KIND, world, rest=OUTPUTS)


async def moments() -> int:
    stage = Stage()
    assert await stage.outputs(graph_of(stage.world)) == EXPECTED
    return stage.journal.moments


async def test_killed_at_any_moment_a_run_ends_as_if_nothing_had_happened() -> None:
    for moment in range(1, await moments() + 1):
        stage = Stage(journal=MemoryJournal(crash_at=moment))
        graph = graph_of(stage.world)
        with pytest.raises(Crashed):
            await stage.run(graph)
        stage.restart()
        assert await stage.outputs(graph) == EXPECTED, moment
        effects = {name: stage.world.effects(name) for name in stage.world.keys}
        assert set(effects.values()) == {1}, (moment, effects)


async def test_a_finished_step_is_never_begun_again() -> None:
    for moment in range(1, await moments() + 1):
        stage = Stage(journal=MemoryJournal(crash_at=moment))
        graph = graph_of(stage.world)
        with pytest.raises(Crashed):
            await stage.run(graph)
        finished = {e.path for e in stage.journal.committed if e.status in FINISHED}
        stage.restart()
        before = len(stage.journal.committed)
        await stage.run(graph)
        again = {e.path for e in stage.journal.committed[before:]}
        assert not finished & again, moment


async def test_a_run_killed_again_and_again_still_ends() -> None:
    stage = Stage()
    graph = graph_of(stage.world)
    chance = random.Random(7)
    for deaths in range(100):
        stage.restart(crash_at=chance.randint(5, 30))
        try:
            assert await stage.outputs(graph) == EXPECTED
        except Crashed:
            continue
        assert deaths > 2
        break
    else:
        pytest.fail("the run did not end")
    assert {stage.world.effects(name) for name in stage.world.keys} == {1}


async def test_a_finished_run_resumed_does_nothing(stage: Stage) -> None:
    graph = graph_of(stage.world)
    await stage.run(graph)
    events, entries = list(stage.world.events), len(stage.journal.committed)
    stage.restart()
    assert await stage.outputs(graph) == EXPECTED
    assert stage.world.events == events
    assert len(stage.journal.committed) == entries


async def test_a_lost_lease_stops_the_run_and_is_raised(stage: Stage) -> None:
    class Fenced(MemoryJournal):
        @override
        async def durable(self) -> None:
            if "slow" in stage.world.arrived:
                raise LeaseLost("the run is owned elsewhere")
            await super().durable()

    stage.journal = Fenced()
    stage.world.hold("slow")
    graph = compiled(
        """
        slow: {use: probe.send, with: {name: slow}}
        quick: {use: probe.send, with: {name: quick}}
        then: {use: probe.send, with: {name: "then ${{ quick.name }}"}}
        """,
        stage.world,
    )
    async with asyncio.timeout(60):
        with pytest.raises(LeaseLost):
            await stage.run(graph)
    assert stage.world.working == 0
    assert not any(name.startswith("+then") for name in stage.world.events)


async def test_a_run_cancelled_from_outside_stops_at_once(stage: Stage) -> None:
    stage.world.hold("slow")
    graph = compiled("slow: {use: probe.send, with: {name: slow}}", stage.world)
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("slow")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stage.world.working == 0


async def test_an_effect_that_may_have_happened_is_not_repeated_but_asked_about(
    stage: Stage,
) -> None:
    graph = compiled(
        """
        pay: {use: probe.pay, with: {name: pay}}
        beside: {use: probe.send, with: {name: beside}}
        after: {use: set, with: "${{ pay.name }}"}
        """,
        stage.world,
        rest='outputs: {after: "${{ after }}"}',
    )
    stage.world.hold("pay")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("pay")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stage.restart()
    outcome = await stage.run(graph)
    assert isinstance(outcome, Parked)
    assert [(wait.kind, wait.path) for wait in outcome.waits] == [("unknown", "pay")]
    assert outcome.reason == "waiting"
    statuses = stage.journal.statuses()
    assert (statuses["pay"], statuses["beside"]) == ("unknown", "succeeded")
    assert "after" not in statuses
    assert stage.world.events.count("+pay") == 1


async def test_an_intent_is_committed_before_an_effect_that_happens_once(stage: Stage) -> None:
    graph = compiled("pay: {use: probe.pay, with: {name: pay}}", stage.world)
    stage.world.hold("pay")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("pay")
    assert [(e.call, e.status.value) for e in stage.journal.committed] == [
        (None, "running"),
        ("intent", "succeeded"),
    ]
    stage.world.release("pay")
    assert isinstance(await running, Succeeded)


async def test_an_intent_taken_back_lets_the_step_run_again(stage: Stage) -> None:
    """What settling an unknown step as `retry` leaves in the ledger."""
    graph = compiled("pay: {use: probe.pay, with: {name: pay}}", stage.world)
    await stage.run(graph)
    intent = next(e for e in stage.journal.committed if e.call == "intent")
    withdrawn = replace(intent, status=StepStatus.CANCELLED)
    stage.journal = MemoryJournal([intent, withdrawn])
    assert isinstance(await stage.run(graph), Succeeded)
    assert stage.world.events.count("+pay") == 2
