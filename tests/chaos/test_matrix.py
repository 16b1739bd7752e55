"""Kill -9 at every step boundary of every node type: nothing is lost, nothing is done twice."""

import random
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import get_args

import pytest
from tests.chaos.boundaries import (
    Boundary,
    Where,
    boundaries,
    must_not_repeat,
    sample,
    spare_model_calls,
)
from tests.chaos.conftest import Watched
from tests.chaos.interceptor import Moment, Trap, names, writes
from tests.chaos.scenarios import SCENARIOS, People, Scenario, faults, start
from tests.chaos.sink import Arrival

from treadle.agents.interpreter.compilation import compile_graph
from treadle.agents.interpreter.errors import NodeTypeNotRunnable
from treadle.agents.language import parse_template
from treadle.agents.nodes.chat import ReplyNode
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.union import Node

IN_SAMPLE = 2
WITHIN_S = 90.0
NOT_YET = {
    KnowledgeNode: "{use: knowledge.search, with: {knowledge: k, query: q}}",
    ReplyNode: "{use: chat.reply, with: {text: hello}}",
}
"""Node types that the compiler still refuses; the day it does not, they need a scenario."""
_tags = count(1)


def test_every_node_type_has_a_scenario() -> None:
    covered = {node_type for scenario in SCENARIOS for node_type in scenario.of}
    assert set(get_args(Node)) == covered | set(NOT_YET)
    for text in NOT_YET.values():
        head = "treadle: 1\nname: not-yet\nversion: 1.0.0\n"
        checked = parse_template(f"{head}nodes:\n  one: {text}\n", tools={})
        with pytest.raises(NodeTypeNotRunnable):
            compile_graph(checked.template, {})


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_kill_at_any_step_boundary_changes_nothing(
    scenario: Scenario, watched: Watched, chance: random.Random, *, is_full: bool
) -> None:
    found = boundaries(scenario, undisturbed(watched, scenario))
    assert len(found) > IN_SAMPLE
    wrong: list[str] = []
    for boundary in found if is_full else sample(found, chance, IN_SAMPLE):
        wrong += [f"kill {boundary}: {one}" for one in after_a_kill(watched, scenario, boundary)]
    assert not wrong, "\n".join(wrong)


def undisturbed(watched: Watched, scenario: Scenario) -> list[str]:
    """Run it once and see what is written."""
    tag = f"calm-{scenario.name}-{next(_tags)}"
    watched.interceptor.labels()
    run = start(watched.world, scenario, tag)
    shown = People(watched.world).look_after(run, tag, within_s=WITHIN_S)
    assert faults(watched.world, scenario, tag, shown, spare_calls=0) == []
    return watched.interceptor.labels()


def after_a_kill(watched: Watched, scenario: Scenario, boundary: Boundary) -> list[str]:
    """Run it, kill the worker at the boundary, let it end, and look into the books."""
    around = watched.world
    tag = f"kill-{scenario.name}-{next(_tags)}"
    around.pid("worker")
    with axe(watched, boundary, tag) as strike:
        run = begin(watched, scenario, boundary, tag, strike)
        shown = People(around).look_after(run, tag, within_s=WITHIN_S)
    found = faults(around, scenario, tag, shown, spare_calls=spare_model_calls(boundary))
    if not strike.sprung.is_set():
        found.append("the worker was never there, so nobody was killed")
    for path, effects in scenario.keyed.items():
        arrived = around.sink.count(f"/keyed/{tag}/{path}")
        if must_not_repeat(boundary, path) and arrived > effects:
            found.append(f"{path} was committed, and came {arrived} times")
    return found


def begin(watched: Watched, scenario: Scenario, boundary: Boundary, tag: str, strike: Trap) -> str:
    """Start the run; before it can be claimed where the claim is what is struck at."""
    if boundary.where is not Where.CLAIM:
        return start(watched.world, scenario, tag)
    later = datetime.now(UTC) + timedelta(seconds=1.5)
    run = start(watched.world, scenario, tag, run_at=later.isoformat())
    strike.matches = names(run)
    watched.interceptor.arm(strike)
    return run


@contextmanager
def axe(watched: Watched, boundary: Boundary, tag: str) -> Generator[Trap]:
    """Have the worker killed at this boundary, once."""
    around, trap = watched.world, Trap(writes(boundary.label), boundary.moment)

    def strike() -> None:
        if not trap.sprung.is_set():
            around.kill_known("worker")
            trap.sprung.set()

    def at_the_sink(arrival: Arrival) -> None:
        kind, _, path = boundary.label.partition(" ")
        if arrival.path == f"/{kind}/{tag}/{path}":
            strike()

    match boundary.where:
        case Where.COMMIT:
            watched.interceptor.arm(trap)
        case Where.EFFECT if boundary.moment is Moment.BEFORE:
            around.sink.on_arrival = at_the_sink
        case Where.EFFECT:
            around.sink.on_answered = at_the_sink
        case Where.MODEL:
            around.models.on_call = lambda called: strike() if called == tag else None
        case Where.CLAIM:
            pass  # its run is not known yet
    try:
        yield trap
    finally:
        watched.interceptor.disarm()
        around.sink.on_arrival = around.sink.on_answered = around.models.on_call = None
