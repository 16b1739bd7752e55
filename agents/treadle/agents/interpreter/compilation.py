"""From a checked template to a graph: works, edges, units. Nothing here belongs to a run."""

from collections.abc import Iterable, Mapping
from typing import assert_never

from treadle.agents.interpreter.errors import NodeTypeNotRunnable
from treadle.agents.interpreter.fusion import fuse
from treadle.agents.interpreter.policies import policy_of
from treadle.agents.language.graph import dependencies, topological_order
from treadle.agents.language.model import Template
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.chat import ReplyNode
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode, LlmWork
from treadle.agents.nodes.loop import LoopNode, LoopWork
from treadle.agents.nodes.map import MapNode, MapWork
from treadle.agents.nodes.set import SetNode, SetWork
from treadle.agents.nodes.switch import SwitchNode, switch_work
from treadle.agents.nodes.tool import ToolNode, ToolWork
from treadle.agents.nodes.union import Node as NodeConfig
from treadle.agents.nodes.wait import WaitNode
from treadle.agents.steps.answers import AnswerSchema
from treadle.agents.steps.graph import Body, Graph, Node, Work
from treadle.integrations.registry import AnyTool


def compile_graph(template: Template, tools: Mapping[str, AnyTool]) -> Graph:
    """Compile a template that was checked without errors.

    Args:
        template: Loaded and checked; a fault in it is an `AssertionError` or `KeyError` here.
        tools: By name, all that the template uses.

    Raises `NodeTypeNotRunnable` for node types without work yet.
    """
    compiler = _Compiler(template, tools)
    handler = template.on_failure
    return Graph(
        name=template.name,
        version=template.version,
        body=compiler.body(template.nodes, "nodes"),
        outputs=template.outputs,
        on_failure=compiler.body(handler.nodes, "on_failure.nodes") if handler else None,
    )


class _Compiler:
    def __init__(self, template: Template, tools: Mapping[str, AnyTool]) -> None:
        self._template = template
        self._tools = tools

    def body(self, nodes: Mapping[str, NodeConfig], path: str) -> Body:
        """The nodes of one level; `path` is where they stand in the template."""
        upstream = dependencies(nodes)
        order = topological_order(upstream)
        return fuse([self._node(id_, nodes[id_], upstream[id_], f"{path}.{id_}") for id_ in order])

    def _node(self, id_: str, config: NodeConfig, upstream: Iterable[str], path: str) -> Node:
        return Node(
            id=id_,
            template_path=path,
            upstream=frozenset(upstream),
            work=self._work(config, path),
            policy=policy_of(config, self._template.defaults),
            when=config.when,
            otherwise=config.otherwise,
            on_error=config.on_error.value if config.on_error else None,
        )

    def _work(self, config: NodeConfig, path: str) -> Work:
        match config:
            case SetNode():
                return SetWork(config.value)
            case ToolNode():
                return ToolWork(self._tools[config.use], config.arguments, config.connection)
            case LlmNode():
                return LlmWork(config.config, self._answer(config), self._template.defaults.model)
            case MapNode():
                return MapWork(config, self.body(config.nodes, f"{path}.nodes"))
            case LoopNode():
                return LoopWork(config, self.body(config.nodes, f"{path}.nodes"))
            case SwitchNode():
                return switch_work(config, self._cases(config, path))
            case (
                AgentNode() | ApprovalNode() | WaitNode()
                | ChildNode() | KnowledgeNode() | ReplyNode()
            ):  # fmt: skip
                raise NodeTypeNotRunnable(path, config.use)
            case _:
                assert_never(config)

    def _answer(self, node: LlmNode) -> AnswerSchema | None:
        schema = node.config.output_schema
        return None if schema is None else AnswerSchema(schema, self._template.schemas)

    def _cases(self, node: SwitchNode, path: str) -> tuple[Body, ...]:
        return tuple(
            self.body(case.nodes, f"{path}.cases[{index}].nodes")
            for index, case in enumerate(node.cases)
        )
