"""The closed union of node types. A new one is a module of this folder and a member here."""

from typing import TypeAlias

from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.chat import ReplyNode
from treadle.agents.nodes.child import PREFIX, ChildNode
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.set import SetNode
from treadle.agents.nodes.switch import Case, SwitchNode
from treadle.agents.nodes.tool import ToolNode
from treadle.agents.nodes.wait import WaitNode

Container: TypeAlias = MapNode | LoopNode | SwitchNode
Node: TypeAlias = (
    LlmNode
    | AgentNode
    | SetNode
    | MapNode
    | LoopNode
    | SwitchNode
    | ApprovalNode
    | WaitNode
    | ChildNode
    | ToolNode
    | KnowledgeNode
    | ReplyNode
)

_NAMED: tuple[type[Node], ...] = (
    LlmNode,
    AgentNode,
    SetNode,
    MapNode,
    LoopNode,
    SwitchNode,
    ApprovalNode,
    WaitNode,
    KnowledgeNode,
    ReplyNode,
)
NODE_TYPES: dict[str, type[Node]] = {node_type.kind: node_type for node_type in _NAMED}
"""Node types with a name of their own; tools and child templates are told by their form."""

for _container in (Case, MapNode, LoopNode, SwitchNode):
    _container.model_rebuild(_types_namespace={"Node": Node})


def node_type(use: str) -> type[Node] | None:
    """The model of what stands in `use`; `None` when it can be nothing we know."""
    if use in NODE_TYPES:
        return NODE_TYPES[use]
    if use.startswith(PREFIX):
        return ChildNode
    return ToolNode if "." in use else None
