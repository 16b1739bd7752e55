"""The language as JSON Schema 2020-12, made from the models that read templates."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from treadle.agents.language.model import Template
from treadle.agents.nodes.fields import EXPRESSION_SCHEMA
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import AnyTool

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
_NODES = ("LlmNode", "AgentNode", "SetNode", "MapNode", "LoopNode", "SwitchNode", "ApprovalNode",
          "WaitNode", "ChildNode", "KnowledgeNode", "ReplyNode")  # fmt: skip
_Schema: TypeAlias = dict[str, Any]  # Any: pydantic's own type for a JSON Schema


def template_schema(tools: Mapping[str, AnyTool]) -> JsonObject:
    """The schema of a template; each tool's `with` has its own parameters."""
    schema = Template.model_json_schema(by_alias=True, mode="validation")
    definitions: _Schema = schema["$defs"]
    tool_node: _Schema = definitions.pop("ToolNode")
    for name, tool in tools.items():
        definitions[f"tool:{name}"] = _tool_node(tool_node, tool, definitions)
    names = [*_NODES, *(f"tool:{name}" for name in tools)]
    definitions["Node"] = {"oneOf": [{"$ref": f"#/$defs/{_escaped(name)}"} for name in names]}
    _use_node(schema)
    _require_something(schema)
    return {"$schema": SCHEMA_ID, "title": "Treadle template, version 1"} | cast(
        "JsonObject", schema
    )


def _tool_node(generic: _Schema, tool: AnyTool, definitions: _Schema) -> _Schema:
    """The node of one tool: its name, and its parameters with expressions allowed."""
    node = copy.deepcopy(generic)
    node["title"] = tool.name
    node["description"] = tool.description
    node["properties"]["use"] = {"const": tool.name}
    params = tool.params.model_json_schema(by_alias=True, mode="validation")
    prefix = f"tool:{tool.name}:"
    for name, inner in params.pop("$defs", {}).items():
        definitions[prefix + name] = _relaxed(inner, prefix)
    arguments: _Schema = {**params, "properties": params.get("properties", {})}
    arguments["properties"] = {
        name: _relaxed(inner, prefix) for name, inner in arguments["properties"].items()
    }
    node["properties"]["with"] = arguments
    if params.get("required"):
        node["required"] = [*node.get("required", []), "with"]
    return node


def _relaxed(schema: Any, prefix: str) -> Any:  # Any: a part of a JSON Schema
    """A parameter's schema that an expression fits as well, at every depth."""
    if not isinstance(schema, dict):
        return schema
    part = cast("_Schema", schema)
    relaxed: _Schema = {}
    for key, inner in part.items():
        if key == "$ref":
            relaxed[key] = "#/$defs/" + _escaped(prefix + str(inner).removeprefix("#/$defs/"))
        elif key in {"items", "additionalProperties"}:
            relaxed[key] = _relaxed(inner, prefix)
        elif key == "properties":
            fields = cast("_Schema", inner)
            relaxed[key] = {name: _relaxed(field, prefix) for name, field in fields.items()}
        elif key in {"anyOf", "oneOf", "allOf", "prefixItems"}:
            relaxed[key] = [_relaxed(option, prefix) for option in cast("list[Any]", inner)]
        else:
            relaxed[key] = inner
    return {"anyOf": [relaxed, dict(EXPRESSION_SCHEMA)]}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _use_node(schema: _Schema) -> None:
    """Every `nodes` holds any node: pydantic writes the union out at each place."""
    for owner in [schema, *schema["$defs"].values()]:
        nodes = owner.get("properties", {}).get("nodes")
        if nodes is not None and "additionalProperties" in nodes:
            nodes.pop("default", None)
            nodes["additionalProperties"] = {"$ref": "#/$defs/Node"}


def _require_something(schema: _Schema) -> None:
    schema["properties"]["nodes"]["minProperties"] = 1
    schema["$defs"]["LlmConfig"]["anyOf"] = _one_of(("prompt", "messages"))
    schema["$defs"]["AgentConfig"]["anyOf"] = _one_of(("prompt", "messages"))
    schema["$defs"]["WaitConfig"]["oneOf"] = _one_of(("for", "at", "callback"))
    schema["$defs"]["ScheduleTrigger"]["oneOf"] = _one_of(("cron", "at", "every"))


def _one_of(keys: Iterable[str]) -> list[JsonValue]:
    return [{"required": [key]} for key in keys]
