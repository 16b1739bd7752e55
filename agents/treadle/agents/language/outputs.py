"""What each node type gives: the shape of its output, as far as it is known before a run."""

import re
from typing import assert_never

from treadle.agents.language import shapes
from treadle.agents.language.scope import Scope
from treadle.agents.language.shapes import ANYTHING, NULL, TEXT, Fields, ListOf, NoField, Shape
from treadle.agents.nodes import Node
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.chat import ReplyNode
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.fields import Value
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.set import SetNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.nodes.tool import ToolNode
from treadle.agents.nodes.wait import WaitNode
from treadle.agents.values import JsonValue

MOST_HOPS = 40  # references followed for one shape; beyond that nothing is known
_PLAIN_REFERENCE = re.compile(r"\$\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}", re.ASCII)


def name_shape(scope: Scope, name: str, hops: int = 0) -> Shape:
    """The shape of what a name means in a scope; `Anything` for unknown names."""
    holder = scope.holder_of(name)
    if holder is None or hops > MOST_HOPS:
        return ANYTHING
    if name in holder.names:
        return holder.names[name]
    if name not in holder.known:
        holder.known[name] = ANYTHING  # for what reads itself; cycles are reported elsewhere
        node = holder.nodes.get(name)
        holder.known[name] = ANYTHING if node is None else _node_shape(node, holder, name, hops)
    return holder.known[name]


def value_shape(scope: Scope, value: Value | None, hops: int = 0) -> Shape:
    """The shape of a value when it is evaluated in a scope; null for none."""
    return NULL if value is None else _raw_shape(scope, value.raw, hops)


def _raw_shape(scope: Scope, raw: JsonValue, hops: int) -> Shape:
    match raw:
        case dict():
            return Fields({key: _raw_shape(scope, inner, hops) for key, inner in raw.items()})
        case str() if "${" in raw:
            return _text_shape(scope, raw.strip(), hops)
        case _:
            return shapes.of_constant(raw)


def _text_shape(scope: Scope, text: str, hops: int) -> Shape:
    plain = _PLAIN_REFERENCE.fullmatch(text)
    if plain is None:
        return ANYTHING if text.startswith("${{") else TEXT
    name, *fields = plain[1].split(".")
    if name == "nodes":
        return ANYTHING
    shape = name_shape(scope, name, hops + 1)
    for step in fields:
        found = shapes.field(shape, step)
        if isinstance(found, NoField):
            return ANYTHING
        shape = found
    return shape


def _node_shape(node: Node, scope: Scope, name: str, hops: int) -> Shape:
    options = [_own_shape(node, scope, scope.inner.get(name, []), hops)]
    if node.when is not None:
        options.append(value_shape(scope, node.otherwise, hops))
    if node.on_error is not None:
        options.append(value_shape(scope, node.on_error.value, hops))
    return shapes.either(options)


def _own_shape(node: Node, scope: Scope, inner: list[Scope], hops: int) -> Shape:
    match node:
        case LlmNode() | AgentNode():
            return _model_shape(node, scope)
        case SetNode():
            return value_shape(scope, node.value, hops)
        case MapNode():
            return ListOf(value_shape(inner[0], node.output, hops) if inner else ANYTHING)
        case LoopNode():
            return value_shape(inner[0], node.output, hops) if inner else ANYTHING
        case SwitchNode():
            return _switch_shape(node, inner, hops)
        case ToolNode():
            tool = scope.world.tools.get(node.use)
            return ANYTHING if tool is None else scope.world.result_of(tool)
        case ChildNode():
            return ANYTHING
        case ApprovalNode() | WaitNode() | KnowledgeNode() | ReplyNode():
            return _fixed_shape(node, scope)
        case _:
            assert_never(node)


def _model_shape(node: LlmNode | AgentNode, scope: Scope) -> Shape:
    if node.config.output_schema is not None:
        return scope.world.described(node.config.output_schema)
    if isinstance(node, LlmNode):
        return TEXT
    return Fields({"text": TEXT, "steps": ListOf(ANYTHING)})


def _switch_shape(node: SwitchNode, inner: list[Scope], hops: int) -> Shape:
    cases = list(zip(node.cases, inner, strict=False))
    options = [value_shape(scope, case.output, hops) for case, scope in cases]
    if not any(case.is_else for case in node.cases):
        options.append(NULL)
    return shapes.either(options)


def _fixed_shape(node: ApprovalNode | WaitNode | KnowledgeNode | ReplyNode, scope: Scope) -> Shape:
    match node:
        case ApprovalNode():
            form = {k: scope.world.described(i.schema) for k, i in node.config.form.items()}
            return Fields({"action": TEXT, "form": Fields(form), "by": ANYTHING, "at": TEXT})
        case WaitNode():
            return Fields({"at": TEXT, "payload": ANYTHING})
        case KnowledgeNode():
            names = ("text", "source", "title", "anchor", "score")
            passage = Fields(dict.fromkeys(names, ANYTHING))
            return Fields({"passages": ListOf(passage)})
        case ReplyNode():
            return Fields({"message_id": TEXT})
        case _:
            assert_never(node)
