"""What a value can hold, followed along references: private data, and what strangers wrote.

Whatever is derived from a value has its labels. Where nothing is declared, all of them are taken.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TypeAlias

from treadle.agents.expressions import Reference
from treadle.agents.language.graph import node_read
from treadle.agents.language.model import Template
from treadle.agents.language.references import scope_of
from treadle.agents.language.scope import Scope
from treadle.agents.language.scopes import Layout, Visit
from treadle.agents.language.triggers import ChatTrigger, ToolTrigger, WebhookTrigger
from treadle.agents.language.walk import Expression, expressions, placed_references
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.tool import ToolNode
from treadle.agents.nodes.wait import WaitNode
from treadle.integrations.registry import AnyTool


class Label(StrEnum):
    """What a value can hold."""

    PRIVATE = "private data"
    UNTRUSTED = "content from outside"
    DECIDED = "a person's decision"


Labels: TypeAlias = dict[Label, str]
"""Labels, each with the name of what brought it."""

BOTH = (Label.PRIVATE, Label.UNTRUSTED)
_CHAT_INPUTS = frozenset({"message", "history", "files"})


class LabelCheck:
    """Finds the labels of names and expressions of one template; each node is looked at once."""

    def __init__(self, template: Template, layout: Layout) -> None:
        self._template = template
        self._visits = {(id(visit.scope), visit.name): visit for visit in layout.visits}
        self._owners = {
            id(inner): visit
            for visit in layout.visits
            for inner in visit.scope.inner.get(visit.name, ())
        }
        self._known: dict[tuple[int, str], Labels] = {}

    def of_expressions(self, found: Iterable[Expression], scope: Scope) -> Labels:
        """The labels of everything that expressions read in a scope."""
        labels: Labels = {}
        for expression in found:
            for placed in placed_references(expression, ()):
                labels = self.of_reference(placed.reference, scope) | labels
        return labels

    def of_reference(self, reference: Reference, scope: Scope) -> Labels:
        """The labels of what a reference reads."""
        if reference.name == "inputs":
            return self._of_inputs(reference.fields)
        name = node_read(reference)
        holder = scope.holder_of(name)
        if holder is None:
            return {}
        if name == "error" and name in holder.names:
            return {Label.UNTRUSTED: "error"}
        key = (id(holder), name)
        if key not in self._known:
            self._known[key] = {}  # for a loop's state, which reads itself
            self._known[key] = self._of_name(holder, name)
        return self._known[key]

    def visit_of(self, reference: Reference, scope: Scope) -> Visit | None:
        """The node a reference reads, if it reads one."""
        name = node_read(reference)
        holder = scope.holder_of(name)
        return None if holder is None else self._visits.get((id(holder), name))

    def _of_name(self, holder: Scope, name: str) -> Labels:
        visit = self._visits.get((id(holder), name))
        if visit is not None:
            return self.of_node(visit)
        owner = self._owners.get(id(holder))
        match owner.node if owner is not None else None:
            case MapNode(over=over) as node if name == node.item_name and owner is not None:
                return self.of_expressions([over], owner.scope)
            case LoopNode(state=state, next_state=following) if name == "state" and owner:
                first = self.of_expressions([state] if state else [], owner.scope)
                return first | self.of_expressions([following] if following else [], holder)
            case _:
                return {}

    def of_node(self, visit: Visit) -> Labels:
        """The labels of a node's output."""
        if isinstance(visit.node, ApprovalNode):
            return {Label.DECIDED: visit.name} if is_decided_by_person(visit.node) else {}
        own = dict.fromkeys(_own_labels(visit), visit.name)
        return own | self._read_by(visit)

    def _read_by(self, visit: Visit) -> Labels:
        labels: Labels = {}
        inner = visit.scope.inner[visit.name]
        for path, expression in expressions(visit.node):
            if path[0] != "when":
                scope = scope_of(visit, path, inner)
                labels = self.of_expressions([expression], scope) | labels
        return labels

    def _of_inputs(self, fields: tuple[str, ...]) -> Labels:
        names = fields[:1] or (*self._template.inputs, *_CHAT_INPUTS)
        labels: Labels = {}
        for name in names:
            shown = f"inputs.{name}"
            declared = self._template.inputs.get(name)
            if declared is not None and declared.is_file:
                labels |= dict.fromkeys(BOTH, shown)
            if any(self._is_from_outside(name)):
                labels |= {Label.UNTRUSTED: shown}
        return labels

    def _is_from_outside(self, name: str) -> Iterator[bool]:
        for trigger in self._template.triggers:
            match trigger:
                case ChatTrigger():
                    yield name in _CHAT_INPUTS
                case WebhookTrigger() | ToolTrigger():
                    yield name in trigger.inputs and not trigger.inputs[name].is_constant
                case _:
                    yield False


def is_decided_by_person(node: ApprovalNode) -> bool:
    """Whether nobody's silence and no condition answers in a person's place."""
    return node.when is None and node.config.on_timeout in {None, "fail"}


def tool_labels(tool: AnyTool, connection: str | None) -> Iterator[Label]:
    """What a tool's result can hold beside what it was given."""
    if tool.reads_private and (connection is not None or not tool.connection_optional):
        yield Label.PRIVATE
    if tool.reads_untrusted:
        yield Label.UNTRUSTED


def _own_labels(visit: Visit) -> Iterable[Label]:
    """What a node brings that it did not read elsewhere in the template."""
    tools = visit.scope.world.tools
    match visit.node:
        case ToolNode(use=use, connection=connection):
            return tuple(tool_labels(tools[use], connection)) if use in tools else BOTH
        case AgentNode():
            return {
                label
                for entry in visit.node.config.tools
                if entry.use in tools
                for label in tool_labels(tools[entry.use], entry.connection)
            }
        case KnowledgeNode() | ChildNode():
            return BOTH
        case WaitNode():
            return (Label.UNTRUSTED,)
        case LlmNode() | _:
            return ()
