"""Waiting: heard in memory while something works, parked when nothing does, ended once."""

import asyncio
from dataclasses import replace

import pytest
from tests.agents.interpreter.doubles import Crashed, MemoryJournal, World, upstream_error
from tests.agents.interpreter.stage import Stage, compiled
from tests.agents.interpreter.waiting import HeldClock, MemoryChildren, MemoryWaits

from treadle.agents.interpreter import Closed, Graph
from treadle.agents.ports import Failed, Outcome, Parked, StepStatus, Succeeded
from treadle.agents.values import JsonValue

APPROVAL = """
ask: {use: approval, with: {title: Go?, actions: [go, stop], timeout: 3d, on_timeout: stop}}
then: {use: probe.send, with: {name: "then-${{ ask.action }}"}}
"""
OUT = 'outputs: {action: "${{ ask.action }}"}'
GO: JsonValue = {"action": "go", "form": {}}


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def waits(clock: HeldClock) -> MemoryWaits:
    return MemoryWaits(clock)


@pytest.fixture
def children() -> MemoryChildren:
    return MemoryChildren()


@pytest.fixture
def stage(clock: HeldClock, waits: MemoryWaits, children: MemoryChildren) -> Stage:
    return Stage(clock=clock, waits=waits, children=children)


async def resumed(stage: Stage, graph: Graph) -> Outcome:
    stage.restart()
    return await stage.run(graph)


def parked_on(outcome: Outcome) -> list[tuple[str, str]]:
    assert isinstance(outcome, Parked), outcome
    assert outcome.reason == "waiting"
    return sorted((wait.kind.value, wait.path) for wait in outcome.waits)


async def test_a_run_parks_and_goes_on_with_the_answer(stage: Stage, waits: MemoryWaits) -> None:
    graph = compiled(APPROVAL, stage.world, rest=OUT)
    assert parked_on(await stage.run(graph)) == [("approval", "ask")]
    assert stage.journal.statuses() == {"ask": "waiting"}
    waits.give("ask", GO, by="ada")
    assert isinstance(await resumed(stage, graph), Succeeded)
    assert stage.journal.last("ask").output == {
        "action": "go", "form": {}, "by": "ada", "at": "2026-11-25T00:00:00+00:00",
    }  # fmt: skip
    assert stage.world.keys.keys() == {"then-go"}


async def test_waking_again_and_again_adds_no_entry(stage: Stage) -> None:
    graph = compiled(APPROVAL, stage.world)
    await stage.run(graph)
    entries = len(stage.journal.committed)
    for _ in range(3):
        assert parked_on(await resumed(stage, graph)) == [("approval", "ask")]
    assert len(stage.journal.committed) == entries


async def test_an_answer_is_heard_while_something_else_works(
    stage: Stage, waits: MemoryWaits
) -> None:
    graph = compiled(f"{APPROVAL}slow: {{use: probe.send, with: {{name: slow}}}}", stage.world)
    stage.world.hold("slow")
    running = asyncio.create_task(stage.run(graph))
    await waits.until_open("ask")
    await asyncio.sleep(0.15)  # longer than a run listens when nothing works
    waits.give("ask", GO)
    await stage.world.arrival("then-go")
    stage.world.release("slow")
    assert isinstance(await running, Succeeded)


async def test_answers_come_in_any_order(stage: Stage, waits: MemoryWaits) -> None:
    names = ["a", "b", "c"]
    graph = compiled("\n".join(f"{name}: {{use: approval}}" for name in names), stage.world)
    outcome = await stage.run(graph)
    for name in ("c", "a", "b"):
        assert ("approval", name) in parked_on(outcome)
        waits.give(name, GO)
        outcome = await resumed(stage, graph)
    assert isinstance(outcome, Succeeded)


async def test_nobody_answers_and_the_timeouts_action_is_taken(
    stage: Stage, clock: HeldClock
) -> None:
    graph = compiled(APPROVAL, stage.world, rest=OUT)
    outcome = await stage.run(graph)
    assert isinstance(outcome, Parked)
    until = outcome.waits[0].until
    assert until is not None
    assert (until - clock.now()).days == 3
    clock.advance(days=3)
    assert await resumed(stage, graph) == Succeeded({"action": "stop"})
    assert stage.journal.last("ask").output == {
        "action": "stop", "form": {}, "by": None, "at": "2026-11-28T00:00:00+00:00",
    }  # fmt: skip


async def test_a_timeout_without_an_action_fails_and_can_be_recovered(
    stage: Stage, clock: HeldClock
) -> None:
    graph = compiled(
        """
        plain: {use: approval, with: {timeout: 1h}, on_error: {value: "${{ error.code }}"}}
        """,
        stage.world,
        rest='outputs: {plain: "${{ plain }}"}',
    )
    await stage.run(graph)
    clock.advance(hours=1)
    assert await resumed(stage, graph) == Succeeded({"plain": "approval_timeout"})


async def test_a_late_timeout_yields_to_an_answer_that_came_first(
    stage: Stage, clock: HeldClock, waits: MemoryWaits
) -> None:
    graph = compiled(APPROVAL, stage.world, rest=OUT)
    await stage.run(graph)
    waits.give("ask", GO)
    clock.advance(days=4)
    assert await resumed(stage, graph) == Succeeded({"action": "go"})


async def test_timers_last_over_restarts(stage: Stage, clock: HeldClock) -> None:
    graph = compiled(
        """
        a: {use: wait, with: {for: 2h}}
        b: {use: wait, with: {at: "2026-11-25T03:00:00+01:00"}}
        """,
        stage.world,
        rest='outputs: {a: "${{ a.at }}", b: "${{ b.payload }}"}',
    )
    assert parked_on(await stage.run(graph)) == [("timer", "a"), ("timer", "b")]
    clock.advance(hours=1)
    assert parked_on(await resumed(stage, graph)) == [("timer", "a"), ("timer", "b")]
    clock.advance(hours=1)
    assert await resumed(stage, graph) == Succeeded({"a": "2026-11-25T02:00:00+00:00", "b": None})


async def test_a_wait_that_is_nonsense_fails(stage: Stage) -> None:
    graph = compiled('a: {use: wait, with: {for: "${{ inputs.long }}"}}', stage.world)
    stage.inputs = {"long": "a while"}
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert (outcome.error.code, "a while" in outcome.error.message) == ("invalid_arguments", True)


async def test_a_callback_brings_its_payload_or_comes_too_late(
    stage: Stage, clock: HeldClock, waits: MemoryWaits
) -> None:
    graph = compiled(
        """
        a: {use: wait, with: {callback: true, timeout: 1d}}
        b: {use: wait, with: {callback: true, timeout: 1d}, on_error: {value: "${{ error.class }}"}}
        """,
        stage.world,
        rest='outputs: {a: "${{ a.payload }}", b: "${{ b }}"}',
    )
    assert parked_on(await stage.run(graph)) == [("callback", "a"), ("callback", "b")]
    waits.give("a", {"paid": True})
    clock.advance(days=1)
    assert await resumed(stage, graph) == Succeeded({"a": {"paid": True}, "b": "timeout"})


ITEMS = """
each:
  use: map
  over: [x, y, z]
  concurrency: 1
  nodes:
    before: {use: probe.send, with: {name: "before-${{ item }}"}}
    ask: {use: approval, needs: [before]}
    after: {use: probe.send, with: {name: "after-${{ item }}-${{ ask.action }}"}}
  output: ${{ after.name }}
"""


async def test_an_item_that_waits_gives_its_place_to_the_next(
    stage: Stage, waits: MemoryWaits
) -> None:
    graph = compiled(ITEMS, stage.world, rest='outputs: {all: "${{ each }}"}')
    outcome = await stage.run(graph)
    assert parked_on(outcome) == [("approval", f"each[{i}].ask") for i in range(3)]
    assert stage.world.most_at_once == 1
    for index in (2, 0, 1):
        waits.give(f"each[{index}].ask", GO)
    assert await resumed(stage, graph) == Succeeded(
        {"all": ["after-x-go", "after-y-go", "after-z-go"]}
    )
    assert stage.world.most_at_once == 1
    assert {stage.world.events.count(f"+before-{name}") for name in "xyz"} == {1}


async def test_waits_nest_in_every_container(stage: Stage, waits: MemoryWaits) -> None:
    graph = compiled(
        """
        outer:
          use: map
          over: [a, b]
          as: letter
          concurrency: 1
          nodes:
            pick:
              use: switch
              cases:
                - else: true
                  nodes:
                    again:
                      use: loop
                      max: 3
                      nodes:
                        inner:
                          use: map
                          over: [1, 2]
                          concurrency: 1
                          nodes: {ask: {use: approval}}
                          output: ${{ ask.action }}
                      until: "'no' not in inner"
                      output: ${{ inner }}
                  output: ${{ again }}
          output: ${{ pick }}
        """,
        stage.world,
        rest='outputs: {all: "${{ outer }}"}',
    )
    no: JsonValue = {"action": "no", "form": {}}
    first = [f"outer[{o}].pick.again[0].inner[{i}].ask" for o in range(2) for i in range(2)]
    assert parked_on(await stage.run(graph)) == [("approval", path) for path in first]
    for path in first:
        waits.give(path, no if path.startswith("outer[1]") else GO)
    second = [path.replace("again[0]", "again[1]") for path in first[2:]]
    assert parked_on(await resumed(stage, graph)) == [("approval", path) for path in second]
    for path in second:
        waits.give(path, GO)
    go: JsonValue = ["go", "go"]
    assert await resumed(stage, graph) == Succeeded({"all": [go, go]})


async def test_the_wall_time_of_a_container_leaves_waiting_out(
    stage: Stage, waits: MemoryWaits
) -> None:
    graph = compiled(
        """
        each:
          use: map
          over: [a]
          timeout: 300ms
          nodes:
            ask: {use: approval}
            slow: {use: probe.send, with: {name: "slow-${{ ask.action }}"}}
          output: ${{ slow.name }}
        beside: {use: probe.send, with: {name: beside}}
        """,
        stage.world,
    )
    stage.world.hold("beside")
    running = asyncio.create_task(stage.run(graph))
    await waits.until_open("each[0].ask")
    await asyncio.sleep(0.5)
    waits.give("each[0].ask", GO)
    await stage.world.arrival("slow-go")
    stage.world.release("beside")
    assert isinstance(await running, Succeeded)


async def test_a_failure_takes_back_what_nobody_needs_to_answer(
    stage: Stage, waits: MemoryWaits
) -> None:
    graph = compiled(
        """
        each:
          use: map
          over: [x]
          on_item_error: skip
          nodes:
            ask: {use: approval}
            bad: {use: probe.send, with: {name: bad}}
          output: ${{ ask }}
        other: {use: approval}
        """,
        stage.world,
    )
    stage.world.hold("bad")
    stage.world.breaks["bad"] = [upstream_error()]
    running = asyncio.create_task(stage.run(graph))
    await waits.until_open("each[0].ask", "other")
    stage.world.release("bad")
    assert parked_on(await running) == [("approval", "other")]
    assert stage.journal.statuses()["each[0].ask"] == "cancelled"
    answers = [e for e in stage.journal.committed if e.path == "each[0].ask" and e.call == "answer"]
    assert [e.status.value for e in answers] == ["waiting", "cancelled"]
    assert stage.journal.last("each").output == []


@pytest.mark.parametrize("reason", [Closed.DRAIN, Closed.PAUSE])
async def test_a_closed_gate_ends_the_listening(
    stage: Stage, waits: MemoryWaits, reason: Closed
) -> None:
    graph = compiled(f"{APPROVAL}slow: {{use: probe.send, with: {{name: slow}}}}", stage.world)
    stage.world.hold("slow")
    running = asyncio.create_task(stage.run(graph))
    await waits.until_open("ask")
    stage.gate.close(reason)
    stage.world.release("slow")
    assert await running == Parked((), reason)
    waits.give("ask", GO)
    assert isinstance(await resumed(stage, graph), Succeeded)


CHILD = """
child: {use: "template:outline@^1", with: {topic: "${{ inputs.topic }}"}, connections: {a: b}}
"""
CHILD_OUT = 'outputs: {child: "${{ child }}"}'


async def test_a_child_is_started_once_and_its_outputs_are_the_step(
    stage: Stage, waits: MemoryWaits, children: MemoryChildren
) -> None:
    graph = compiled(CHILD, stage.world, rest=CHILD_OUT)
    stage.inputs = {"topic": "looms"}
    for _ in range(2):
        assert parked_on(await resumed(stage, graph)) == [("child", "child")]
    (order,) = children.started.values()
    assert order.id == waits.opened["child"].id
    assert (order.use, order.inputs, order.connections, order.frame) == (
        "template:outline@^1", {"topic": "looms"}, {"a": "b"}, "child",
    )  # fmt: skip
    waits.give("child", {"status": "succeeded", "outputs": {"x": 1}, "error": None})
    assert await resumed(stage, graph) == Succeeded({"child": {"x": 1}})


async def test_a_childs_failure_is_the_steps(stage: Stage, waits: MemoryWaits) -> None:
    graph = compiled(CHILD, stage.world, rest=CHILD_OUT)
    stage.inputs = {"topic": "looms"}
    error: JsonValue = {
        "node": "n", "path": "n", "class": "rate_limit", "code": "busy", "message": "too fast",
    }  # fmt: skip
    waits.give("child", {"status": "failed", "outputs": None, "error": error})
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert (outcome.error.path, outcome.error.code) == ("child", "busy")


async def test_a_cancelled_child_fails_its_step(stage: Stage, waits: MemoryWaits) -> None:
    graph = compiled(CHILD, stage.world, rest=CHILD_OUT)
    stage.inputs = {"topic": "looms"}
    waits.give("child", {"status": "cancelled", "outputs": None, "error": None})
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "child_cancelled"


async def test_a_child_that_refuses_its_inputs_is_not_started(
    stage: Stage, children: MemoryChildren
) -> None:
    graph = compiled('child: {use: "template:outline", with: {wrong: 1}}', stage.world)
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "invalid_arguments"
    assert children.started == {}


PAY = """
pay: {use: probe.pay, with: {name: pay}, on_error: {value: {name: "${{ error.code }}"}}}
after: {use: probe.send, with: {name: "after-${{ pay.name }}"}}
"""
PAY_OUT = 'outputs: {pay: "${{ pay.name }}"}'


async def unsettled(stage: Stage) -> Graph:
    graph = compiled(PAY, stage.world, rest=PAY_OUT)
    stage.world.hold("pay")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("pay")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stage.world.held.clear()
    assert parked_on(await resumed(stage, graph)) == [("unknown", "pay")]
    assert stage.journal.last("pay").status is StepStatus.UNKNOWN
    return graph


async def test_settled_as_done_a_step_has_the_output_that_a_person_gives(
    stage: Stage, waits: MemoryWaits
) -> None:
    graph = await unsettled(stage)
    waits.give("pay", {"as": "done", "output": {"name": "by hand"}})
    assert await resumed(stage, graph) == Succeeded({"pay": "by hand"})
    assert stage.world.events.count("+pay") == 1


async def test_settled_as_failed_a_step_can_be_recovered(stage: Stage, waits: MemoryWaits) -> None:
    graph = await unsettled(stage)
    waits.give("pay", {"as": "fail"})
    assert await resumed(stage, graph) == Succeeded({"pay": "settled_as_failed"})
    assert stage.journal.last("pay").status is StepStatus.RECOVERED


async def test_settled_as_retry_a_step_runs_again_under_the_same_key(
    stage: Stage, waits: MemoryWaits
) -> None:
    graph = await unsettled(stage)
    waits.give("pay", {"as": "retry"})
    assert await resumed(stage, graph) == Succeeded({"pay": "pay"})
    assert stage.world.events.count("+pay") == 2
    assert len(set(stage.world.keys["pay"])) == 1
    assert stage.journal.last("pay").attempt == 2


async def test_a_retry_that_is_lost_again_is_asked_about_again(
    stage: Stage, waits: MemoryWaits
) -> None:
    graph = await unsettled(stage)
    waits.give("pay", {"as": "retry"})
    stage.world.arrived.clear()
    stage.world.hold("pay")
    stage.restart()
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("pay")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    first = waits.opened["pay"]
    waits.answers.clear()
    assert parked_on(await resumed(stage, graph)) == [("unknown", "pay")]
    assert waits.opened["pay"].id != first.id
    assert stage.world.events.count("+pay") == 2


EVERYTHING = """
start: {use: probe.send, with: {name: start}}
nap: {use: wait, needs: [start], with: {for: 1h}}
call: {use: wait, needs: [start], with: {callback: true}}
child: {use: "template:outline", needs: [start], with: {topic: "${{ start.name }}"}}
each:
  use: map
  over: [0, 1]
  concurrency: 1
  nodes:
    ask: {use: approval}
    send: {use: probe.send, with: {name: "send-${{ item }}-${{ ask.action }}"}}
  output: ${{ send.name }}
last:
  use: probe.send
  needs: [nap]
  with: {name: "last ${{ call.payload }} ${{ child.x }} ${{ each | join(' ') }}"}
"""
ANSWERS: dict[str, JsonValue] = {
    "call": "paid",
    "child": {"status": "succeeded", "outputs": {"x": 1}, "error": None},
    "each[0].ask": GO,
    "each[1].ask": GO,
}


@pytest.mark.slow
async def test_killed_at_any_moment_a_run_that_waits_ends_as_if_nothing_had_happened() -> None:
    whole = await lived(None)
    assert whole.journal.moments > 10
    for moment in range(1, whole.journal.moments + 1):
        stage = await lived(moment)
        effects = {name: stage.world.effects(name) for name in stage.world.keys}
        assert effects == {
            "start": 1, "send-0-go": 1, "send-1-go": 1, "last paid 1 send-0-go send-1-go": 1,
        }, moment  # fmt: skip


async def lived(crash_at: int | None) -> Stage:
    """Answer everything while the run goes through its waits and dies once, at this moment."""
    clock, world, children = HeldClock(), World(), MemoryChildren()
    stage = Stage(
        world=world, clock=clock, waits=MemoryWaits(clock), children=children,
        journal=MemoryJournal(crash_at=crash_at),
    )  # fmt: skip
    graph = compiled(EVERYTHING, world, rest='outputs: {last: "${{ last.name }}"}')
    moments = 0
    for _ in range(20):
        try:
            outcome = await stage.run(graph)
        except Crashed:
            stage.restart()
            continue
        if isinstance(outcome, Succeeded):
            assert len(children.started) == 1
            stage.journal.moments += moments
            return stage
        assert isinstance(outcome, Parked), outcome
        moments += stage.journal.moments
        clock.advance(hours=1)
        assert isinstance(stage.waits, MemoryWaits)
        for path, value in ANSWERS.items():
            stage.waits.give(path, value)
        left = None if crash_at is None else crash_at - moments
        stage.restart(crash_at=left if left is not None and left > 0 else None)
    pytest.fail("the run did not end")


async def test_an_approval_copied_from_another_run_is_answered(
    stage: Stage, waits: MemoryWaits
) -> None:
    """What a retry of a run reuses: its ledger entries, by path."""
    graph = compiled(APPROVAL, stage.world, rest=OUT)
    await stage.run(graph)
    waits.give("ask", GO)
    await resumed(stage, graph)
    copied = [replace(e) for e in stage.journal.committed if e.path == "ask"]
    waits.answers.clear()
    stage.journal = MemoryJournal(copied)
    assert await stage.run(graph) == Succeeded({"action": "go"})
