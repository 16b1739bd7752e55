"""The published JSON Schema: it takes what lint takes and refuses what lint refuses."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest
from jsonschema import Draft202012Validator

from treadle.agents.language import template_schema
from treadle.agents.language.loading import load
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import AnyTool, all_tools

TEMPLATES = sorted((Path(__file__).parents[3] / "templates").rglob("*.yaml"))
Change = Callable[[dict[str, "dict[str, JsonValue]"]], None]


def fits(document: JsonValue, tools: Mapping[str, AnyTool]) -> bool:
    found = Draft202012Validator(template_schema(tools)).iter_errors(document)  # pyright: ignore[reportUnknownMemberType] # no types there
    return next(found, None) is None


def test_it_is_a_json_schema(tools: Mapping[str, AnyTool]) -> None:
    Draft202012Validator.check_schema(template_schema(tools))


def test_the_example_fits(example: str, tools: Mapping[str, AnyTool]) -> None:
    assert fits(load(example).content, tools)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_bundled_template_fits(path: Path) -> None:
    assert fits(load(path.read_bytes()).content, all_tools())


def nodes_of(document: JsonValue) -> dict[str, JsonObject]:
    assert isinstance(document, dict)
    return cast("dict[str, JsonObject]", document["nodes"])  # the example's form is known


@pytest.mark.parametrize(
    ("node", "key", "value"),
    [
        ("expand", "use", "lmm"),
        ("expand", "whit", {}),
        ("expand", "with", {"prompt": "x", "temperature": 5}),
        ("expand", "with", {"system": "x"}),
        ("suggest", "with", {"seeds": 5}),
        ("suggest", "with", {"seds": ["x"]}),
        ("suggest", "with", {}),
        ("suggest", "timeout", "5 minutes"),
        ("serp", "retry", {"attempts": 2}),
        ("serp", "concurrency", 0),
        ("serp", "nodes", {"hits": {"use": "web.search", "with": {"query": 1}}}),
        ("refine", "max", "3"),
        ("deliver", "cases", []),
    ],
)
def test_what_lint_refuses_does_not_fit(
    example: str, tools: Mapping[str, AnyTool], node: str, key: str, value: JsonValue
) -> None:
    document = copy.deepcopy(load(example).content)
    nodes_of(document)[node][key] = value
    assert not fits(document, tools)


@pytest.mark.parametrize("key", ["treadle", "name", "version", "nodes"])
def test_the_required_keys_are_required(
    example: str, tools: Mapping[str, AnyTool], key: str
) -> None:
    document = copy.deepcopy(load(example).content)
    assert isinstance(document, dict)
    del document[key]
    assert not fits(document, tools)
