"""What every declared tool keeps to."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from treadle.integrations.base import Effect, Params, Result
from treadle.integrations.errors import UnknownTool
from treadle.integrations.registry import MODULES, AnyTool, all_tools, get_tool

TOOLS = list(all_tools().values())
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=[tool.name for tool in TOOLS])


def test_the_promised_tools_are_there() -> None:
    promised = {"web.fetch", "web.sitemap", "web.search", "http.request"}
    assert promised <= set(all_tools())


def test_modules_are_listed_once_in_order() -> None:
    assert list(MODULES) == sorted(set(MODULES))


@each_tool
def test_its_name_is_integration_and_action(tool: AnyTool) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", tool.name)
    assert get_tool(tool.name) is tool


@each_tool
def test_it_is_described_in_a_sentence(tool: AnyTool) -> None:
    first = tool.description.splitlines()[0]
    assert 20 <= len(first) <= 140
    assert first.endswith(".")


@each_tool
def test_its_parameters_and_result_are_typed_and_closed(tool: AnyTool) -> None:
    assert issubclass(tool.params, Params)
    assert issubclass(tool.result, Result)
    assert tool.params.__doc__
    for schema in (tool.params.model_json_schema(), tool.result.model_json_schema()):
        assert schema["additionalProperties"] is False


@each_tool
def test_its_schemas_are_json_schemas(tool: AnyTool) -> None:
    for schema in (
        tool.params.model_json_schema(),
        tool.result.model_json_schema(mode="serialization"),
    ):
        again = json.loads(json.dumps(schema))
        assert again == schema
        Draft202012Validator.check_schema(again)


@each_tool
def test_its_effect_is_declared(tool: AnyTool) -> None:
    assert isinstance(tool.effect, Effect) or callable(tool.effect)


@each_tool
def test_only_plain_functions_go_to_other_processes(tool: AnyTool) -> None:
    assert not (tool.cpu_heavy and tool.is_async)


def test_an_unknown_tool_names_its_neighbours() -> None:
    with pytest.raises(UnknownTool, match=r"did you mean 'web\.fetch'"):
        get_tool("web.fetsh")
