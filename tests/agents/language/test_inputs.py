"""A run's inputs: filled in, or refused with their paths."""

from collections.abc import Callable, Mapping

import pytest

from treadle.agents.errors import InputsInvalid
from treadle.agents.language import Template, parse_template, validate_inputs
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import AnyTool

TEXT = """\
treadle: 1
name: sample
version: 1.0.0
inputs:
  seeds: {type: array, items: {type: string, minLength: 2}, minItems: 1}
  locale: {type: string, default: en-US}
  site: {type: string, format: uri, optional: true}
  tree: {$ref: '#/schemas/tree', optional: true}
  code: {type: string, pattern: '^[a-z]+$', optional: true}
schemas:
  tree: {type: object, properties: {children: {type: array, items: {$ref: '#/schemas/tree'}}}}
nodes: {a: {use: set, with: "${{ inputs }}"}}
outputs: {a: "${{ a }}"}
"""


@pytest.fixture
def template(tools: Mapping[str, AnyTool]) -> Template:
    return parse_template(TEXT, tools=tools).template


@pytest.fixture
def refusals(template: Template) -> Callable[[JsonObject], list[str]]:
    def run(inputs: JsonObject) -> list[str]:
        with pytest.raises(InputsInvalid) as caught:
            validate_inputs(template, inputs)
        return [f"{issue.path}: {issue.message}" for issue in caught.value.issues]

    return run


def test_defaults_are_filled_in_and_absent_optional_ones_are_null(template: Template) -> None:
    assert validate_inputs(template, {"seeds": ["crm"]}) == {
        "seeds": ["crm"], "locale": "en-US", "site": None, "tree": None, "code": None,
    }  # fmt: skip


def test_null_is_as_good_as_absent_for_an_optional_input(template: Template) -> None:
    assert validate_inputs(template, {"seeds": ["crm"], "site": None})["site"] is None


@pytest.mark.parametrize(
    ("inputs", "answers"),
    [
        ({}, ["inputs.seeds: missing input `seeds`"]),
        ({"seeds": ["x"]}, ["inputs.seeds[0]: needs at least 2 characters, found 1"]),
        ({"seeds": "crm"}, ['inputs.seeds: expected a list, found "crm"']),
        ({"seeds": ["ok", 5], "locale": 1},
         ["inputs.seeds[1]: expected a text, found 5", "inputs.locale: expected a text, found 1"]),
        ({"seeds": ["ok"], "sedes": 1}, ["inputs.sedes: unknown input `sedes`"]),
        ({"seeds": ["ok"], "site": "no site"}, ['inputs.site: "no site" is no uri']),
        ({"seeds": ["ok"], "code": "A"}, ['inputs.code: "A" does not match ^[a-z]+$']),
        ({"seeds": ["ok"], "tree": {"children": [{"children": 1}]}},
         ["inputs.tree.children[0].children: expected a list, found 1"]),
    ],
)  # fmt: skip
def test_wrong_inputs_are_refused_with_their_paths(
    refusals: Callable[[JsonObject], list[str]], inputs: JsonObject, answers: list[str]
) -> None:
    assert refusals(inputs) == answers


def test_endless_depth_is_refused(refusals: Callable[[JsonObject], list[str]]) -> None:
    deep: JsonValue = {}
    for _ in range(5_000):
        deep = {"children": [deep]}
    assert refusals({"seeds": ["ok"], "tree": deep}) == [
        "inputs.tree: nested deeper than 64 levels"
    ]


def test_chat_declares_its_inputs_by_itself(tools: Mapping[str, AnyTool]) -> None:
    text = TEXT.replace("seeds: {type", "seeds: {default: [ab], type") + "triggers: [{use: chat}]\n"
    template = parse_template(text, tools=tools).template
    filled = validate_inputs(template, {"message": "hello"})
    assert (filled["message"], filled["history"], filled["files"]) == ("hello", [], [])
