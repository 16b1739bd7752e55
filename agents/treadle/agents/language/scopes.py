"""Builds every scope of a template, and walks its nodes with the scopes they stand in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from treadle.agents.language import outputs, shapes
from treadle.agents.language.document import Document
from treadle.agents.language.model import Template
from treadle.agents.language.scope import Scope, World
from treadle.agents.language.shapes import ANYTHING, TEXT, Fields, ListOf, Plain, Shape
from treadle.agents.language.triggers import ChatTrigger
from treadle.agents.nodes import Node
from treadle.agents.nodes.fields import Condition, Path
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.integrations.registry import AnyTool

RUN_FIELDS: tuple[str, ...] = (
    "id",
    "root_id",
    "name",
    "version",
    "owner",
    "trigger",
    "started_at",
    "url",
)
NODE_FIELDS: tuple[str, ...] = ("status", "output", "usage", "error", "reasoning", "attempts")
ERROR = Fields(dict.fromkeys(("node", "path", "class", "code", "message"), ANYTHING))
LOOP = Fields({"index": Plain("a whole number")})
NODES = ANYTHING  # `nodes` is looked into by the check of references, not by its shape


@dataclass(frozen=True, slots=True)
class Visit:
    """One node where it stands.

    Attributes:
        owners: The containers it lies in, outermost first, as their ids.
        guards: Connections that are surely bound when it runs, by the conditions around it.
    """

    name: str
    node: Node
    path: Path
    scope: Scope
    owners: tuple[str, ...]
    guards: frozenset[str]


@dataclass(frozen=True, slots=True)
class Layout:
    """All nodes of a template with their scopes.

    Attributes:
        root: The scope of the template's own nodes.
        failure: The scope of `on_failure`, `None` without it.
        scopes: Every scope with the path of its node map.
    """

    root: Scope
    failure: Scope | None
    visits: list[Visit]
    scopes: list[tuple[Path, Scope]] = field(default_factory=list[tuple[Path, Scope]])


def lay_out(template: Template, document: Document, tools: Mapping[str, AnyTool]) -> Layout:
    """Build the scopes of a template; ids of nodes that could not be read are known in them."""
    world = World(tools, dict(template.schemas))
    builder = _Builder(document, world)
    names = _common_names(template, world)
    root = builder.scope(None, template.nodes, ("nodes",), names, (), frozenset())
    failure: Scope | None = None
    if template.on_failure is not None:
        path = ("on_failure", "nodes")
        outside = root.with_names({"error": ERROR})
        nodes = template.on_failure.nodes
        failure = builder.scope(outside, nodes, path, {}, ("on_failure",), frozenset())
    for _, scope in builder.scopes:
        scope.known.clear()  # found while scopes were missing, so perhaps too little
    return Layout(root, failure, builder.visits, builder.scopes)


def _common_names(template: Template, world: World) -> dict[str, Shape]:
    declared = {name: world.described(one.schema) for name, one in template.inputs.items()}
    if any(isinstance(trigger, ChatTrigger) for trigger in template.triggers):
        declared |= {"message": TEXT, "history": ListOf(ANYTHING), "files": ListOf(ANYTHING)}
    nullable = {
        name: shapes.either([shape, shapes.NULL])
        if name in template.inputs and template.inputs[name].optional
        else shape
        for name, shape in declared.items()
    }
    bound = dict.fromkeys(template.connections, Plain("true or false"))
    run: dict[str, Shape] = dict.fromkeys(RUN_FIELDS, TEXT)
    return {
        "inputs": Fields(nullable), "connections": Fields(bound), "nodes": NODES,
        "run": Fields(run),
    }  # fmt: skip


class _Builder:
    def __init__(self, document: Document, world: World) -> None:
        self._document = document
        self._world = world
        self.visits: list[Visit] = []
        self.scopes: list[tuple[Path, Scope]] = []

    def scope(
        self,
        parent: Scope | None,
        nodes: Mapping[str, Node],
        path: Path,
        names: Mapping[str, Shape],
        owners: tuple[str, ...],
        guards: frozenset[str],
    ) -> Scope:
        raw = self._document.at(path)
        ids = frozenset(raw) if isinstance(raw, dict) else frozenset(nodes)
        scope = Scope(self._world, parent, nodes, ids, names)
        self.scopes.append((path, scope))
        for name, node in nodes.items():
            here = guards | guarded_by(node.when)
            visit = Visit(name, node, (*path, name), scope, owners, here)
            self.visits.append(visit)
            scope.inner[name] = list(self._inner(visit))
        return scope

    def _inner(self, visit: Visit) -> Iterator[Scope]:
        node, scope = visit.node, visit.scope
        owners = (*visit.owners, visit.name)
        path = (*visit.path, "nodes")
        match node:
            case MapNode():
                element = shapes.item(outputs.value_shape(scope, node.over))
                names = {node.item_name: element, "loop": LOOP}
                yield self.scope(scope, node.nodes, path, names, owners, visit.guards)
            case LoopNode():
                names = {"state": _state_shape(node), "loop": LOOP}
                yield self.scope(scope, node.nodes, path, names, owners, visit.guards)
            case SwitchNode():
                for index, case in enumerate(node.cases):
                    guards = visit.guards | guarded_by(case.when)
                    inside = (*visit.path, "cases", index, "nodes")
                    yield self.scope(scope, case.nodes, inside, {}, owners, guards)
            case _:
                return


def _state_shape(node: LoopNode) -> Shape:
    """The fields that the first or a later state has."""
    raws = [value.raw for value in (node.state, node.next_state) if value is not None]
    if not all(isinstance(raw, dict) for raw in raws):
        return ANYTHING
    return Fields({key: ANYTHING for raw in raws if isinstance(raw, dict) for key in raw})


def guarded_by(when: Condition | None) -> frozenset[str]:
    """The connections a condition asks about."""
    if when is None:
        return frozenset()
    asked = (ref for ref in when.references if ref.name == "connections" and ref.fields)
    return frozenset(ref.fields[0] for ref in asked)
