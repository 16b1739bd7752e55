"""One strike at one exact moment for each promise of the engine; they judge the mutants."""

import time

import pytest
from tests.chaos.boundaries import Boundary, Where
from tests.chaos.conftest import Watched
from tests.chaos.interceptor import Act, Moment, Trap, writes
from tests.chaos.rest import Json
from tests.chaos.scenarios import SCENARIOS, People, faults, start
from tests.chaos.test_matrix import WITHIN_S, after_a_kill, undisturbed

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
SIDE_BY_SIDE = """\
treadle: 1
name: chaos-side-by-side
version: 1.0.0
inputs: {sink: {type: string}, tag: {type: string}, ms: {type: integer}}
nodes:
  slow:
    use: http.request
    with:
      method: POST
      url: "${{ inputs.sink }}/once/${{ inputs.tag }}/slow?ms=${{ inputs.ms }}"
      repeat: never
  quick:
    use: http.request
    with: {method: POST, url: "${{ inputs.sink }}/keyed/${{ inputs.tag }}/quick"}
outputs: {n: "${{ slow.json.n }}", quick: "${{ quick.json.n }}"}
"""


@pytest.mark.parametrize("path", ["first", "second"])
def test_what_was_committed_is_not_done_again(watched: Watched, path: str) -> None:
    boundary = Boundary(Where.COMMIT, f"step.succeeded {path}", Moment.AFTER)
    assert after_a_kill(watched, BY_NAME["chain"], boundary) == []


def test_what_was_done_and_not_committed_is_repeated_under_its_key(watched: Watched) -> None:
    boundary = Boundary(Where.COMMIT, "step.succeeded first", Moment.BEFORE)
    assert after_a_kill(watched, BY_NAME["chain"], boundary) == []
    tag = last_tag(watched, "/keyed/", "/first")
    assert [one.is_repeat for one in watched.world.sink.arrivals(f"/keyed/{tag}/first")] == [
        False,
        True,
    ]


def test_an_effect_that_must_not_be_repeated_is_left_to_a_person(watched: Watched) -> None:
    boundary = Boundary(Where.EFFECT, "once first", Moment.BEFORE)
    assert after_a_kill(watched, BY_NAME["once"], boundary) == []


def test_every_pass_of_a_loop_is_an_effect_of_its_own(watched: Watched) -> None:
    undisturbed(watched, BY_NAME["loop"])


def test_a_timer_wakes_a_run_that_nobody_has(watched: Watched) -> None:
    undisturbed(watched, BY_NAME["wait"])


@pytest.mark.parametrize("name", ["llm", "agent"])
def test_a_finished_model_call_is_not_paid_again(watched: Watched, name: str) -> None:
    labels = undisturbed(watched, BY_NAME[name])
    call = next(one for one in labels if one.startswith("call.succeeded") and "model" in one)
    boundary = Boundary(Where.COMMIT, call, Moment.AFTER)
    assert after_a_kill(watched, BY_NAME[name], boundary) == []


def test_nothing_begins_before_what_it_rests_on_is_committed(watched: Watched) -> None:
    """Else a killed worker would read something else the second time, and send that as well."""
    around, scenario, tag = watched.world, BY_NAME["chain"], "strike-barrier"
    around.pid("worker")
    trap = watched.interceptor.arm(Trap(writes("step.succeeded look"), act=Act.HOLD))
    run = start(around, scenario, tag)
    trap.wait_sprung()
    time.sleep(1.0)
    came = around.sink.count(f"/keyed/{tag}/first")
    around.kill_known("worker")
    trap.released.set()
    shown = People(around).look_after(run, tag, within_s=WITHIN_S)
    assert came == 0
    assert faults(around, scenario, tag, shown, spare_calls=0) == []


@pytest.mark.parametrize("moment", list(Moment))
def test_a_connection_lost_in_a_commit_loses_nothing(watched: Watched, moment: Moment) -> None:
    """The worker cannot know whether it was carried out: it must neither redo nor give up."""
    around, tag = watched.world, f"strike-cut-{moment}"
    worker = around.pid("worker")
    trap = Trap(writes("step.succeeded quick"), moment, Act.CUT)
    watched.interceptor.arm(trap)
    inputs: Json = {**around.inputs, "tag": tag, "ms": 2500}
    run = around.rest.start(SIDE_BY_SIDE, inputs, key=tag)
    people = People(around)
    shown = people.look_after(run, tag, within_s=WITHIN_S)
    assert trap.sprung.is_set()
    assert (shown["status"], people.settled) == ("succeeded", 0), shown
    assert around.sink.count(f"/once/{tag}/slow") == around.sink.count(f"/keyed/{tag}/quick") == 1
    assert around.pid("worker") == worker


@pytest.mark.parametrize("moment", list(Moment))
def test_an_api_killed_while_it_accepts_accepts_once(watched: Watched, moment: Moment) -> None:
    around, scenario, tag = watched.world, BY_NAME["chain"], f"strike-api-{moment}"
    inputs = f'"tag":"{tag}"'.encode()
    trap = Trap(lambda text: inputs in text.replace(b'\\"', b'"'), moment, of="api")
    known = around.rest.newest_runs()
    watched.interceptor.arm(trap)
    run = start(around, scenario, tag)
    assert trap.sprung.is_set()
    assert around.rest.newest_runs() - known == {run}
    shown = People(around).look_after(run, tag, within_s=WITHIN_S)
    assert faults(around, scenario, tag, shown, spare_calls=0) == []


def test_an_answer_that_comes_while_the_run_parks_is_heard(watched: Watched) -> None:
    around, scenario, tag = watched.world, BY_NAME["approval"], "strike-parking"
    trap = watched.interceptor.arm(Trap(writes("run.waiting"), act=Act.HOLD))
    run = start(around, scenario, tag)
    trap.wait_sprung()
    around.rest.approve(run)
    time.sleep(0.5)
    trap.released.set()
    shown = around.rest.ended(run, within_s=WITHIN_S)
    assert faults(around, scenario, tag, shown, spare_calls=0) == []


def last_tag(watched: Watched, kind: str, end: str) -> str:
    """The run whose effect came last."""
    paths = [one.path for one in watched.world.sink.below(kind) if one.path.endswith(end)]
    return paths[-1].split("/")[2]
