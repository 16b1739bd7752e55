"""Whom a template may reach: hosts, connections, models; what its data decides is said to be so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from treadle.agents.language.model import Template
from treadle.agents.language.walk import inner_nodes
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.fields import Value
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.nodes.tool import ToolNode
from treadle.agents.nodes.union import Node
from treadle.agents.plan.knowledge import decided
from treadle.agents.steps.hosts import URL, written_host
from treadle.agents.values import JsonValue
from treadle.integrations.registry import AnyTool


class Source(StrEnum):
    """What decides whom a call reaches."""

    TEMPLATE = "template"
    """The template names the host; nothing else is reached, whatever a redirect says."""
    INPUTS = "inputs"
    """This run's inputs name it."""
    DATA = "data"
    """What the run finds names it: any public host."""
    MODEL = "model"
    """A model chooses it."""
    CONNECTION = "connection"
    """The bound connection names its hosts."""
    INSTALLATION = "installation"
    """The installation's settings name it: its search engine, its mail server."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one node's tool may reach.

    Attributes:
        node: Without indexes: `serp.hits`.
        hosts: Empty where it is not known.
        connection: The logical name whose secret goes along.
    """

    node: str
    tool: str
    source: Source
    hosts: tuple[str, ...]
    connection: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a template may reach.

    Attributes:
        hosts: All that are known.
        is_open: Whether any host may be reached because data or a model decides.
        connections: Logical names to types.
        models: Aliases; `default` is the installation's.
    """

    hosts: tuple[str, ...]
    is_open: bool
    connections: Mapping[str, str]
    models: tuple[str, ...]
    reaches: tuple[Reach, ...]


def manifest_of(
    template: Template, tools: Mapping[str, AnyTool], inputs: Mapping[str, JsonValue] | None = None
) -> Manifest:
    """The manifest of a template, sharper where the inputs of a run are known."""
    known = {} if inputs is None else {"inputs": dict(inputs)}
    nodes = list(_all_nodes(template))
    reaches = tuple(reach for path, node in nodes for reach in _reaches(path, node, tools, known))
    open_sources = {Source.DATA, Source.MODEL}
    models = (_model(node, template.defaults.model, known) for _, node in nodes)
    return Manifest(
        hosts=tuple(sorted({host for reach in reaches for host in reach.hosts})),
        is_open=any(reach.source in open_sources for reach in reaches),
        connections={name: need.type for name, need in template.connections.items()},
        models=tuple(sorted({model for model in models if model is not None})),
        reaches=reaches,
    )


def _all_nodes(template: Template) -> Iterator[tuple[str, Node]]:
    yield from _nodes(template.nodes, "")
    if template.on_failure is not None:
        yield from _nodes(template.on_failure.nodes, "on_failure.")


def _nodes(nodes: Mapping[str, Node], prefix: str) -> Iterator[tuple[str, Node]]:
    for name, node in nodes.items():
        yield f"{prefix}{name}", node
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            for _, inside in inner_nodes(node):
                yield from _nodes(inside, f"{prefix}{name}.")


def _reaches(
    path: str, node: Node, tools: Mapping[str, AnyTool], known: Mapping[str, JsonValue]
) -> Iterator[Reach]:
    match node:
        case ToolNode():
            found = _reach(path, tools[node.use], node.arguments, node.connection, known)
            if found is not None:
                yield found
        case AgentNode():
            for entry in node.config.tools:
                tool = tools[entry.use]
                found = _reach(path, tool, entry.fixed, entry.connection, known)
                if found is not None:
                    is_chosen = URL in tool.destinations and URL not in entry.fixed
                    source = Source.MODEL if is_chosen else found.source
                    yield Reach(path, found.tool, source, found.hosts, found.connection)
        case _:
            return


def _reach(
    path: str,
    tool: AnyTool,
    arguments: Mapping[str, Value],
    connection: str | None,
    known: Mapping[str, JsonValue],
) -> Reach | None:
    if tool.is_local:
        return None
    if URL in tool.destinations:
        source, hosts = _address(arguments.get(URL), known)
        return Reach(path, tool.name, source, hosts, connection)
    source = Source.INSTALLATION if tool.connection is None else Source.CONNECTION
    return Reach(path, tool.name, source, (), connection)


def _address(value: Value | None, known: Mapping[str, JsonValue]) -> tuple[Source, tuple[str, ...]]:
    if value is None:
        return Source.DATA, ()
    host = written_host(value.raw)
    if host is not None:
        return Source.TEMPLATE, (host,)
    address = decided(value, known)
    if address is None:
        return Source.DATA, ()
    try:
        host = urlsplit(str(address.value or "")).hostname
    except ValueError:
        host = None
    return Source.INPUTS, () if host is None else (host,)


def _model(node: Node, default: str | None, known: Mapping[str, JsonValue]) -> str | None:
    """The alias a node asks; `None` for nodes that ask none."""
    if not isinstance(node, LlmNode | AgentNode):
        return None
    if node.config.model is None:
        return default or "default"
    chosen = decided(node.config.model, known)
    return str(chosen.value) if chosen is not None else "chosen by the run"
