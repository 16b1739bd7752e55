"""From a checked template to a graph: works, edges, units. Nothing here belongs to a run."""

from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from treadle.agents.interpreter.errors import NodeTypeNotRunnable
from treadle.agents.interpreter.fusion import fuse
from treadle.agents.interpreter.policies import policy_of
from treadle.agents.language.graph import dependencies, topological_order
from treadle.agents.language.model import Template
from treadle.agents.nodes.agent import AgentNode, agent_work
from treadle.agents.nodes.approval import ApprovalNode, ApprovalWork
from treadle.agents.nodes.base import CallBase
from treadle.agents.nodes.chat import ReplyNode
from treadle.agents.nodes.child import ChildNode, ChildWork
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode, LlmWork
from treadle.agents.nodes.loop import LoopNode, LoopWork
from treadle.agents.nodes.map import MapNode, MapWork
from treadle.agents.nodes.questions import Question
from treadle.agents.nodes.set import SetNode, SetWork
from treadle.agents.nodes.switch import SwitchNode, switch_work
from treadle.agents.nodes.tool import ToolNode, ToolWork
from treadle.agents.nodes.union import Container
from treadle.agents.nodes.union import Node as NodeConfig
from treadle.agents.nodes.wait import WaitForWork, WaitNode
from treadle.agents.steps.answers import AnswerSchema
from treadle.agents.steps.graph import Body, Graph, Node, WaitWork, Work
from treadle.integrations.registry import AnyTool

StandIn = Callable[[NodeConfig, str], Work | None]
"""The work that takes the place of a node's own, by its path in the template; `None` keeps it."""


def compile_graph(
    template: Template, tools: Mapping[str, AnyTool], *, stand_in: StandIn | None = None
) -> Graph:
    """Compile a template that was checked without errors.

    Args:
        template: Loaded and checked; a fault in it is an `AssertionError` or `KeyError` here.
        tools: By name, all that the template uses.
        stand_in: Asked for every node; template tests put their mocks in place with it.

    Raises `NodeTypeNotRunnable` for node types without work yet.
    """
    compiler = _Compiler(template, tools, stand_in)
    handler = template.on_failure
    return Graph(
        name=template.name,
        version=template.version,
        body=compiler.body(template.nodes, "nodes"),
        outputs=template.outputs,
        on_failure=compiler.body(handler.nodes, "on_failure.nodes") if handler else None,
    )


class _Compiler:
    def __init__(
        self, template: Template, tools: Mapping[str, AnyTool], stand_in: StandIn | None
    ) -> None:
        self._template = template
        self._tools = tools
        self._stand_in = stand_in

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
            work=self._stood_in(config, path) or self._work(config, path),
            policy=policy_of(config, self._template.defaults),
            when=config.when,
            otherwise=config.otherwise,
            on_error=config.on_error.value if config.on_error else None,
            cache=config.cache if isinstance(config, CallBase) else None,
        )

    def _stood_in(self, config: NodeConfig, path: str) -> Work | None:
        return None if self._stand_in is None else self._stand_in(config, path)

    def _work(self, config: NodeConfig, path: str) -> Work:
        match config:
            case SetNode():
                return SetWork(config.value)
            case ToolNode():
                return ToolWork(self._tools[config.use], config.arguments, config.connection)
            case LlmNode():
                return LlmWork(self._question(config))
            case AgentNode():
                return agent_work(config.config, self._question(config), self._tools)
            case MapNode() | LoopNode() | SwitchNode():
                return self._container(config, path)
            case ApprovalNode() | WaitNode() | ChildNode():
                return _wait_work(config)
            case KnowledgeNode() | ReplyNode():
                raise NodeTypeNotRunnable(path, config.use)
            case _:
                assert_never(config)

    def _container(self, config: Container, path: str) -> Work:
        match config:
            case MapNode():
                return MapWork(config, self.body(config.nodes, f"{path}.nodes"))
            case LoopNode():
                return LoopWork(config, self.body(config.nodes, f"{path}.nodes"))
            case SwitchNode():
                return switch_work(config, self._cases(config, path))

    def _question(self, node: LlmNode | AgentNode) -> Question:
        written = node.config.output_schema
        schema = None if written is None else AnswerSchema(written, self._template.schemas)
        return Question(node.kind, node.config, schema, self._template.defaults.model)

    def _cases(self, node: SwitchNode, path: str) -> tuple[Body, ...]:
        return tuple(
            self.body(case.nodes, f"{path}.cases[{index}].nodes")
            for index, case in enumerate(node.cases)
        )


def _wait_work(config: ApprovalNode | WaitNode | ChildNode) -> WaitWork:
    match config:
        case ApprovalNode():
            return ApprovalWork(config.config)
        case WaitNode():
            return WaitForWork(config.config)
        case ChildNode():
            return ChildWork(config.use, config.inputs, config.connections)
