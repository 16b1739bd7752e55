"""What a node is, as far as its result depends on it: equal definitions give equal results."""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import cast

from treadle.agents.language.model import Template
from treadle.agents.nodes import Node
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.base import Part
from treadle.agents.nodes.fields import Condition, Value
from treadle.agents.nodes.inputs import Input
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.steps.answers import AnswerSchema
from treadle.agents.values import JsonObject, JsonValue

_WITHOUT_RESULT = frozenset(
    {"description", "needs", "retry", "timeout", "cache", "concurrency", "nodes"}
)
"""Keys that change how a node runs, not what it gives; inner nodes have their own definitions."""


def definition(node: Node, template: Template) -> JsonObject:
    """All of a node that its result depends on, without the nodes inside it."""
    whole: JsonObject = {"kind": node.kind, **_fields(node, leave_out=_WITHOUT_RESULT)}
    if isinstance(node, LlmNode | AgentNode):
        schema = node.config.output_schema
        if schema is not None:
            whole["schema"] = AnswerSchema(schema, template.schemas).schema
        if node.config.model is None:
            whole["model"] = template.defaults.model
    return whole


def entry_definition(node: Node) -> JsonValue:
    """The part of a container's definition that everything inside it depends on."""
    match node:
        case SwitchNode():
            return [_json(case.when) for case in node.cases]
        case MapNode():
            return ["map", node.over.raw, node.item_name]
        case LoopNode():
            return ["loop", _json(node.state)]
        case _:
            return [node.kind]


def _fields(part: Part, *, leave_out: frozenset[str] = frozenset()) -> JsonObject:
    return {
        name: _json(getattr(part, name))
        for name in type(part).model_fields
        if name not in leave_out
    }


def _json(item: object) -> JsonValue:
    match item:
        case Value():
            return item.raw
        case Condition():
            return {"when": item.source}
        case Input():
            return {"schema": item.schema, "optional": item.optional}
        case Part():
            return _fields(item, leave_out=frozenset({"nodes"}))
        case timedelta():
            return item.total_seconds()
        case Enum():
            return str(item.value)
        case Mapping():
            # A field's value has no static type; the model's mappings have texts as keys.
            entries = cast("Mapping[str, object]", item)
            return {key: _json(one) for key, one in entries.items()}
        case list() | tuple():
            several = cast("list[object] | tuple[object, ...]", item)  # as above
            return [_json(one) for one in several]
        case str() | int() | float() | None:
            return item
        case _:
            raise AssertionError(f"{type(item).__name__} in a template")
