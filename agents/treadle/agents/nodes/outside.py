"""Which nodes reach outside, where a test or a replay has nothing but recorded answers."""

from collections.abc import Mapping

from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.chat import ReplyNode
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.tool import ToolNode
from treadle.agents.nodes.union import Node
from treadle.agents.nodes.wait import WaitNode
from treadle.integrations.registry import AnyTool


def reaches_outside(node: Node, tools: Mapping[str, AnyTool]) -> bool:
    """Whether only a mock or a recorded answer can stand for a node where nothing is outside."""
    match node:
        case ToolNode():
            return not tools[node.use].is_local
        case WaitNode():
            return bool(node.config.callback)
        case (
            LlmNode() | AgentNode() | ApprovalNode() | ChildNode()
            | KnowledgeNode() | ReplyNode()
        ):  # fmt: skip
            return True
        case _:
            return False
