"""Containers nest four deep, with everything in them, and resume from any point."""

from typing import Any

import pytest
from tests.agents.interpreter.doubles import Crashed, ScriptedModels, World, wants
from tests.agents.interpreter.stage import Stage, compiled
from tests.agents.interpreter.waiting import HeldClock, MemoryWaits
from typing_extensions import override

from treadle.agents.interpreter import Graph
from treadle.agents.ports import Outcome, Parked, Succeeded
from treadle.agents.values import JsonValue

DEEP = """
outer:
  use: map
  over: [a, b]
  as: letter
  concurrency: 2
  nodes:
    again:
      use: loop
      max: 2
      state: {n: 0}
      nodes:
        way:
          use: switch
          cases:
            - when: state.n == 0
              nodes:
                inner:
                  use: map
                  over: [1, 2, 3]
                  as: number
                  on_item_error: "null"
                  nodes:
                    agent: {use: agent, with: {prompt: "${{ letter }}", tools: [probe.send]}}
                    send: {use: probe.send, with: {name: "${{ letter }}${{ number }}"}}
                    odd: {use: probe.send, when: number != 2, with: {name: "odd-${{ send.name }}"}}
                  output: {sent: "${{ send.name }}", odd: "${{ odd.name | default('none') }}"}
              output: ${{ inner | map('sent') | join('+') }}
            - else: true
              nodes:
                ask: {use: approval, with: {title: "Go on with ${{ letter }}?"}}
                tell: {use: probe.send, with: {name: "tell-${{ letter }}-${{ ask.action }}"}}
              output: ${{ tell.name }}
      next: {n: "${{ state.n + 1 }}", text: "${{ way }}"}
      until: state.n > 0
      output: {way: "${{ way }}", before: "${{ state.text | default('') }}"}
  output: ${{ again }}
"""
EXPECTED: dict[str, JsonValue] = {
    "out": [
        {"way": "tell-a-approve", "before": "a1+a2+a3"},
        {"way": "tell-b-reject", "before": "b1+b2+b3"},
    ]
}
SENT = {f"{letter}{n}" for letter in "ab" for n in (1, 2, 3)} | {
    "odd-a1", "odd-a3", "odd-b1", "odd-b3", "tell-a-approve", "tell-b-reject",
}  # fmt: skip


def graph(world: World) -> Graph:
    return compiled(DEEP, world, rest='outputs: {out: "${{ outer }}"}')


class Models(ScriptedModels):
    """Each agent makes one call and then answers, whatever the order."""

    @override
    async def complete(self, request: Any, **options: Any) -> Any:  # Any: passed on as they are
        is_first = all(message.role != "tool" for message in request.messages)
        name = request.messages[0].content
        answer = wants(("probe_send", f'{{"name": "agent-{name}"}}')) if is_first else "done"
        self._answers.append(answer)
        return await super().complete(request, **options)


def answered(stage: Stage) -> None:
    clock = HeldClock()
    waits = MemoryWaits(clock)
    stage.clock, stage.waits = clock, waits
    for index, action in enumerate(("approve", "reject")):
        waits.give(f"outer[{index}].again[1].way.ask", {"action": action, "form": {}}, by="a@b.c")


def check(stage: Stage, outcome: Outcome) -> None:
    assert outcome == Succeeded(dict(EXPECTED))
    world = stage.world
    names = set(world.keys) - {"agent-a", "agent-b"}
    assert names == SENT
    assert {name: world.effects(name) for name in names} == dict.fromkeys(SENT, 1)
    assert {name: world.effects(f"agent-{name}") for name in "ab"} == {"a": 3, "b": 3}


async def test_everything_four_deep(stage: Stage) -> None:
    stage.models = Models()
    answered(stage)
    check(stage, await stage.run(graph(stage.world)))
    path = "outer[1].again[0].way.inner[2].send"
    record = stage.journal.last(path)
    assert (record.node, record.item) == ("outer.again.way.inner.send", (1, 2))


async def test_it_parks_on_two_approvals_and_goes_on(stage: Stage) -> None:
    stage.models = Models()
    clock = HeldClock()
    waits = MemoryWaits(clock)
    stage.clock, stage.waits = clock, waits
    outcome = await stage.run(graph(stage.world))
    assert isinstance(outcome, Parked)
    assert {wait.path for wait in outcome.waits} == {
        f"outer[{index}].again[1].way.ask" for index in (0, 1)
    }
    answered(stage)
    stage.restart()
    check(stage, await stage.run(graph(stage.world)))


@pytest.mark.slow
async def test_no_effect_is_doubled_wherever_the_process_dies(world: World) -> None:
    stage = Stage(world=world, models=Models())
    answered(stage)
    await stage.run(graph(world))
    for moment in range(1, stage.journal.moments, 5):
        again = Stage(world=World(), models=Models())
        answered(again)
        again.restart(crash_at=moment)
        with pytest.raises(Crashed):
            await again.run(graph(again.world))
        again.models = Models()
        again.restart()
        check(again, await again.run(graph(again.world)))
