"""Retries, timeouts and keys of one step."""

import asyncio

import pytest
from tests.agents.interpreter.doubles import World, upstream_error
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.interpreter import Graph
from treadle.agents.ports import Failed, Parked
from treadle.agents.steps.keys import idempotency_key
from treadle.integrations.errors import Delivery, ErrorClass, ToolError


def sending(world: World, retry: str, *, use: str = "probe.send") -> Graph:
    return compiled(f"a: {{use: {use}, with: {{name: a}}, retry: {retry}}}", world)


@pytest.mark.parametrize(
    ("retry", "slept"),
    [
        ("{attempts: 5}", [1, 2, 4, 8]),
        ("{attempts: 5, initial: 500ms, max: 3s}", [0.5, 1, 2, 3]),
        ("{attempts: 3, backoff: fixed, initial: 2s}", [2, 2]),
    ],
)
async def test_waits_between_attempts(stage: Stage, retry: str, slept: list[float]) -> None:
    stage.world.breaks["a"] = [upstream_error() for _ in slept]
    await stage.outputs(sending(stage.world, retry))
    assert stage.clock.slept == slept
    assert stage.journal.last("a").attempt == len(slept) + 1


async def test_the_receivers_wish_to_wait_is_respected(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error(retry_after_s=90)]
    await stage.outputs(sending(stage.world, "{attempts: 2, max: 5s}"))
    assert stage.clock.slept == [90]


async def test_the_last_attempt_counts(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error() for _ in range(3)]
    outcome = await stage.run(sending(stage.world, "{attempts: 3}"))
    assert isinstance(outcome, Failed)
    record = stage.journal.last("a")
    assert (record.status, record.attempt) == ("failed", 3)
    assert stage.world.events.count("+a") == 3


async def test_only_the_named_classes_are_tried_again(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error()]
    outcome = await stage.run(sending(stage.world, "{attempts: 3, on: [timeout]}"))
    assert isinstance(outcome, Failed)
    assert stage.world.events.count("+a") == 1


async def test_without_retry_there_is_one_attempt_and_defaults_give_more(stage: Stage) -> None:
    nodes = "a: {use: probe.send, with: {name: a}}"
    stage.world.breaks["a"] = [upstream_error(), upstream_error()]
    assert isinstance(await stage.run(compiled(nodes, stage.world)), Failed)
    stage.journal.committed.clear()
    stage.restart()
    rest = "defaults: {retry: {attempts: 2}}"
    await stage.outputs(compiled(nodes, stage.world, rest=rest))


async def test_every_attempt_has_the_same_key(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error(), upstream_error()]
    await stage.outputs(sending(stage.world, "{attempts: 3}"))
    assert len(stage.world.keys["a"]) == 3
    assert stage.world.effects("a") == 1


async def test_keys_differ_by_item_and_pass_and_stay_over_a_resume(stage: Stage) -> None:
    nodes = """
    each:
      use: map
      over: [1, 2, 3]
      nodes: {hit: {use: probe.send, with: {name: same}}}
      output: ${{ hit.name }}
    again:
      use: loop
      max: 2
      nodes: {hit: {use: probe.send, with: {name: same}}}
      output: ${{ hit.name }}
    """
    await stage.outputs(compiled(nodes, stage.world))
    keys = list(stage.world.keys["same"])
    assert len(set(keys)) == 5
    stage.journal.committed.clear()
    stage.restart()
    await stage.outputs(compiled(nodes, stage.world))
    assert sorted(stage.world.keys["same"][5:]) == sorted(keys)


def test_a_key_depends_on_run_path_call_and_arguments_and_nothing_else() -> None:
    def key(
        root_run: str = "r", frame_path: str = "a", call_index: int = 0, name: str = "x"
    ) -> str:
        return idempotency_key(
            root_run=root_run,
            frame_path=frame_path,
            call_index=call_index,
            arguments={"name": name, "size": 1},
        )

    others = {key("s"), key(frame_path="b"), key(call_index=1), key(name="y")}
    assert len(others | {key()}) == 5
    reordered = idempotency_key(
        root_run="r", frame_path="a", call_index=0, arguments={"size": 1, "name": "x"}
    )
    assert key() == reordered


async def test_a_timeout_is_per_attempt_and_can_be_retried(stage: Stage) -> None:
    graph = compiled(
        "a: {use: probe.send, with: {name: a}, timeout: 20ms, retry: {attempts: 2}}", stage.world
    )
    stage.world.hold("a")
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert (outcome.error.error_class, outcome.error.code) == ("timeout", "timeout")
    assert "0.02 s" in outcome.error.message
    assert stage.world.events == ["+a", "+a"]


async def test_a_timeout_of_an_effect_that_happens_once_is_unknown(stage: Stage) -> None:
    graph = compiled(
        "a: {use: probe.pay, with: {name: a}, timeout: 20ms, retry: {attempts: 3}}", stage.world
    )
    stage.world.hold("a")
    outcome = await stage.run(graph)
    assert isinstance(outcome, Parked)
    assert stage.journal.last("a").status == "unknown"
    assert stage.world.events == ["+a"]


@pytest.mark.parametrize("delivery", [Delivery.NOT_SENT, Delivery.REFUSED])
async def test_what_surely_did_not_happen_is_tried_again(stage: Stage, delivery: Delivery) -> None:
    stage.world.breaks["a"] = [upstream_error(delivery=delivery)]
    await stage.outputs(sending(stage.world, "{attempts: 2}", use="probe.pay"))
    intents = [e.status.value for e in stage.journal.entries if e.call == "intent"]
    assert intents == ["succeeded", "cancelled", "succeeded"]


async def test_a_lost_answer_of_an_effect_that_happens_once_is_unknown(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error(delivery=Delivery.UNKNOWN)]
    outcome = await stage.run(sending(stage.world, "{attempts: 3}", use="probe.pay"))
    assert isinstance(outcome, Parked)
    assert [wait.kind for wait in outcome.waits] == ["unknown"]
    assert stage.world.events == ["+a"]


async def test_a_lost_answer_of_a_keyed_effect_is_tried_again_under_its_key(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error(delivery=Delivery.UNKNOWN)]
    await stage.outputs(sending(stage.world, "{attempts: 2}"))
    assert stage.world.effects("a") == 1


async def test_another_attempt_is_seen_with_the_error_of_the_last(stage: Stage) -> None:
    stage.world.breaks["a"] = [
        ToolError("slow down", error_class=ErrorClass.RATE_LIMIT, code="http_429")
    ]
    await stage.outputs(sending(stage.world, "{attempts: 2}"))
    running = [e for e in stage.journal.entries if e.status == "running"]
    assert [(e.attempt, e.error and e.error.code) for e in running] == [(1, None), (2, "http_429")]


async def test_steps_with_room_for_each_other_share_the_loop(stage: Stage) -> None:
    """A step that waits for its next attempt holds nobody up."""
    stage.world.breaks["a"] = [upstream_error()]
    graph = compiled(
        """
        a: {use: probe.send, with: {name: a}, retry: {attempts: 2}}
        b: {use: probe.send, with: {name: b}}
        """,
        stage.world,
    )
    stage.world.hold("b")
    running = asyncio.create_task(stage.run(graph))
    await stage.journal.reached("a", "succeeded")
    stage.world.release("b")
    await running
    assert stage.world.effects("a") == 1
