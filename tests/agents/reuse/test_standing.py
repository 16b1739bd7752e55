"""Edit the last prompt and only it runs again: what of a run stands for the next one."""

from textwrap import dedent, indent

import pytest
from tests.agents.interpreter.doubles import MemoryJournal, ScriptedModels, World
from tests.agents.interpreter.stage import Stage

from treadle.agents.interpreter import compile_graph
from treadle.agents.language.findings import Findings
from treadle.agents.language.loading import load
from treadle.agents.language.model import Template
from treadle.agents.language.parser import parse
from treadle.agents.ports import FINISHED, StepStatus
from treadle.agents.reuse import Change, inputs_read, standing


def template(nodes: str, *, rest: str = "") -> Template:
    head = "treadle: 1\nname: probe\nversion: 1.0.0\nnodes:\n"
    findings = Findings(load(head + indent(dedent(nodes), "  ") + "\n" + dedent(rest)))
    parsed = parse(findings)
    assert parsed is not None
    assert not findings.issues
    return parsed


NODES = """
first: {use: llm, with: {prompt: "One ${{ inputs.a }}"}}
second: {use: llm, with: {prompt: "Two ${{ first }} ${{ inputs.b }}"}}
aside: {use: llm, with: {prompt: Beside}}
third: {use: llm, with: {prompt: "Three ${{ second }}"}}
"""
NOTHING = Change()
ALL = ["first", "second", "aside", "third"]


def rerun(old: str, new: str, finished: list[str], change: Change = NOTHING) -> set[str]:
    """What runs again."""
    return set(finished) - standing(template(old), template(new), finished=finished, change=change)


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (NOTHING, set[str]()),
        (Change(start=["third"]), {"third"}),
        (Change(start=["second"]), {"second", "third"}),
        (Change(inputs=["a"]), {"first", "second", "third"}),
        (Change(inputs=["b"]), {"second", "third"}),
        (Change(edited=["second"]), {"third"}),
        (Change(edited=["first"], start=["third"]), {"second", "third"}),
    ],
)
def test_a_step_runs_again_with_all_that_depends_on_it(change: Change, again: set[str]) -> None:
    assert rerun(NODES, NODES, ALL, change) == again


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("Three", "Drei", {"third"}),
        ("Beside", "Daneben", {"aside"}),
        ("prompt: Beside", "prompt: Beside, temperature: 0.5", {"aside"}),
        ("{use: llm, with: {prompt: Beside}}", "{use: llm, cache: 1d, with: {prompt: Beside}}",
         set[str]()),
        ("first: {use: llm,", "first: {use: llm, description: x, retry: {attempts: 3},",
         set[str]()),
        ("aside: {use: llm, with: {prompt: Beside}}", "aside: {use: set, with: 1}", {"aside"}),
    ],
)  # fmt: skip
def test_an_edited_node_runs_again(old: str, new: str, again: set[str]) -> None:
    assert old in NODES
    assert rerun(NODES, NODES.replace(old, new), ALL) == again


def test_what_did_not_finish_is_not_kept() -> None:
    one = template(NODES)
    assert standing(one, one, finished=["first", "aside"]) == {"first", "aside"}


MAP = """
words: {use: llm, with: {prompt: x, schema: {type: array}}}
outer: {use: set, with: "${{ inputs.a }}"}
each:
  use: map
  over: ${{ words }}
  nodes:
    look: {use: probe.read, with: {name: "${{ item }}"}}
    more: {use: probe.read, with: {name: "${{ look.name }} ${{ outer }}"}}
    alone: {use: probe.read, with: {name: fixed}}
  output: ${{ more.name }}
end: {use: llm, with: {prompt: "${{ each }}"}}
"""
ITEMS = [f"each[{i}].{name}" for i in (0, 1) for name in ("look", "more", "alone")]
MAP_ALL = ["words", "outer", "each", "end", *ITEMS]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (Change(start=["each[1].look"]), {"each[1].look", "each[1].more", "each", "end"}),
        (Change(start=["each[0].alone"]), {"each[0].alone", "each", "end"}),
        (Change(inputs=["a"]), {"outer", "each[0].more", "each[1].more", "each", "end"}),
        (Change(start=["words"]), {"words", "each", "end", *ITEMS}),
        (Change(start=["each"]), {"each", "end", *ITEMS}),
        (Change(edited=["each[0].more"]), {"each", "end"}),
    ],
)
def test_items_of_a_map_stand_one_by_one(change: Change, again: set[str]) -> None:
    assert rerun(MAP, MAP, MAP_ALL, change) == again


def test_another_output_of_a_map_repeats_no_item() -> None:
    new = MAP.replace("output: ${{ more.name }}", "output: ${{ look.name }}")
    assert rerun(MAP, new, MAP_ALL) == {"each", "end"}


def test_a_skipped_item_that_failed_does_not_repeat_the_others() -> None:
    finished = [path for path in MAP_ALL if path not in {"each[1].more", "end"}]
    again = rerun(MAP, MAP, finished, Change(start=["each[1].more"]))
    assert again == {"each"}


LOOP = """
refine:
  use: loop
  max: 3
  state: {note: ""}
  nodes:
    plan: {use: llm, with: {prompt: "Plan ${{ state.note }}"}}
    judge: {use: llm, with: {prompt: "Judge ${{ plan }}"}}
  until: judge == 'good'
  next: {note: "${{ judge }}"}
  output: ${{ plan }}
"""
PASSES = [f"refine[{i}].{name}" for i in (0, 1, 2) for name in ("plan", "judge")]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (Change(start=["refine[1].judge"]), {"refine", "refine[1].judge", *PASSES[4:]}),
        (Change(start=["refine[2].plan"]), {"refine", *PASSES[4:]}),
        (Change(start=["refine"]), {"refine", *PASSES}),
    ],
)
def test_a_pass_makes_the_next_ones(change: Change, again: set[str]) -> None:
    assert rerun(LOOP, LOOP, ["refine", *PASSES], change) == again


def test_another_condition_repeats_no_pass_another_next_all_but_the_first() -> None:
    until = LOOP.replace("'good'", "'fine'")
    assert rerun(LOOP, until, ["refine", *PASSES]) == {"refine"}
    following = LOOP.replace('"${{ judge }}"', '"${{ judge }}!"')
    assert rerun(LOOP, following, ["refine", *PASSES]) == {"refine", *PASSES[2:]}


SWITCH = """
way:
  use: switch
  cases:
    - when: inputs.a
      nodes: {yes: {use: probe.read, with: {name: yes}}}
      output: ${{ yes.name }}
    - else: true
      nodes: {no: {use: probe.read, with: {name: no}}}
      output: ${{ no.name }}
"""


def test_another_way_runs_anew() -> None:
    finished = ["way", "way.yes"]
    assert rerun(SWITCH, SWITCH, finished) == set()
    assert rerun(SWITCH, SWITCH, finished, Change(inputs=["a"])) == set(finished)
    assert rerun(SWITCH, SWITCH.replace("output: ${{ yes.name }}", "output: 1"), finished) == {
        "way"
    }


def test_a_shared_schema_and_the_default_model_are_part_of_a_node() -> None:
    node = "ask: {use: llm, with: {prompt: x, schema: {$ref: '#/schemas/s'}}}"
    rest = "schemas: {s: {type: %s}}\ndefaults: {model: %s}"

    def with_(kind: str, model: str) -> Template:
        return template(node, rest=rest % (kind, model))

    old = with_("string", "big")
    assert standing(old, old, finished=["ask"]) == {"ask"}
    for new in (with_("integer", "big"), with_("string", "small")):
        assert standing(old, new, finished=["ask"]) == frozenset()


def test_control_edges_count() -> None:
    nodes = "a: {use: set, with: 1}\nb: {use: llm, needs: [a], with: {prompt: x}}"
    assert rerun(nodes, nodes, ["a", "b"], Change(start=["a"])) == {"a", "b"}


def test_the_inputs_that_kept_steps_read() -> None:
    assert inputs_read(template(NODES), ["first", "third"]) == {"a"}
    assert inputs_read(template(MAP), ["each[0].more"]) == frozenset()
    assert inputs_read(template(MAP), ["outer"]) == {"a"}


async def test_edit_the_last_prompt_and_only_it_is_asked() -> None:
    world, models = World(), ScriptedModels("1", "2", "3", "4")
    stage = Stage(world=world, models=models, inputs={"a": "x", "b": "y"})
    old, new = template(NODES), template(NODES.replace("Three", "Drei"))
    await stage.run(compile_graph(old, world.tools()))
    assert len(models.requests) == 4
    ledger = stage.journal.entries
    finished = [e.path for e in ledger if e.call is None and e.status in FINISHED]
    kept = standing(old, new, finished=finished)
    stage.journal = MemoryJournal([entry for entry in ledger if entry.path in kept])
    stage.models = ScriptedModels("drei")
    await stage.run(compile_graph(new, world.tools()))
    assert [request.messages[0].content for request in stage.models.requests] == ["Drei 3"]
    assert stage.journal.last("third").output == "drei"
    assert stage.journal.last("third").status is StepStatus.SUCCEEDED
