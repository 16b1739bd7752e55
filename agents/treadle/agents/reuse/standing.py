"""Which finished steps stand when a run is made again, with changes.

A step runs again when it is where the new run starts, when its definition changed, when it reads a
changed input, or when it depends on a step that runs again. A step that only failed, or was never
reached, runs because nothing of it is kept.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from treadle.agents.expressions import Reference
from treadle.agents.language.graph import dependencies, node_read, topological_order
from treadle.agents.language.model import Template
from treadle.agents.language.walk import Expression, expressions, inner_nodes
from treadle.agents.nodes import Container, Node
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.reuse.definitions import definition, entry_definition
from treadle.agents.reuse.paths import Tree, node_path

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """What is different in the new run.

    Attributes:
        start: Paths that run again, with all that depends on them: `serp[17].hits`.
        inputs: Names of the inputs whose values changed.
        edited: Paths whose outputs a person set: they stand as set, their readers run again.
    """

    start: Collection[str] = ()
    inputs: Collection[str] = ()
    edited: Collection[str] = ()


def standing(
    old: Template, new: Template, *, finished: Iterable[str], change: Change = Change()
) -> frozenset[str]:
    """The paths of the finished steps that the new run reuses; the edited ones are among them.

    Args:
        old: The template the steps were made by.
        new: The template that runs now; may be the same.
        finished: Paths of steps that succeeded, recovered or were skipped.
        change: What else is different.
    """
    walk = _Walk(old, new, Tree(finished), change)
    walk.body(new.nodes, old.nodes, _Place("", frozenset()))
    return frozenset(walk.kept)


def inputs_read(template: Template, paths: Iterable[str]) -> frozenset[str]:
    """The inputs that these steps read; all declared ones where a step reads `inputs` as such."""
    wanted = {node_path(path) for path in paths}
    found: set[str] = set()
    for path, node in _nodes(template.nodes, ""):
        if path in wanted:
            for _, expression in expressions(node):
                found |= _inputs_of(expression, template)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Place:
    """A body in one frame: an item, a pass, a case.

    Attributes:
        prefix: Its path with indexes, empty for the template's own nodes.
        stale: Names outside it that mean something else now.
        is_all_stale: Whether nothing in it stands.
    """

    prefix: str
    stale: Names
    is_all_stale: bool = False

    def path(self, name: str) -> str:
        return f"{self.prefix}.{name}" if self.prefix else name


@dataclass(slots=True)
class _Walk:
    old: Template
    new: Template
    tree: Tree
    change: Change
    kept: set[str] = field(default_factory=set[str])

    def body(self, nodes: Mapping[str, Node], before: Mapping[str, Node], place: _Place) -> bool:
        """Decide about a body's steps; returns whether one that was finished runs again."""
        stale = set(place.stale)
        has_changed = False
        for name in topological_order(dependencies(nodes)):
            path = place.path(name)
            inside = _Place(place.prefix, frozenset(stale), place.is_all_stale)
            if path in self.change.edited:
                self.kept.add(path)
                stale.add(name)
                has_changed = True
                continue
            is_changed = self._step(path, nodes[name], before.get(name), inside)
            if not is_changed and path in self.tree.finished:
                self.kept.add(path)
            else:
                stale.add(name)
            has_changed |= is_changed
        return has_changed

    def _step(self, path: str, node: Node, before: Node | None, place: _Place) -> bool:
        """Decide about what is inside a step; returns whether it runs again itself."""
        is_new = before is None or path in self.change.start or place.is_all_stale
        is_changed = (
            is_new
            or before is None
            or definition(node, self.new) != definition(before, self.old)
            or not place.stale.isdisjoint(node.needs)
            or any(self._reads_stale(one, place) for _, one in expressions(node))
        )
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            is_entry_stale = is_new or before is None or self._is_entry_stale(node, before, place)
            inner = _Place(path, place.stale, is_entry_stale)
            return self._inside(node, before, inner) or is_changed
        return is_changed

    def _inside(self, node: Container, before: Node | None, place: _Place) -> bool:
        match node:
            case MapNode():
                earlier = before.nodes if isinstance(before, MapNode) else {}
                frames = (self._frame(place, index) for index in self.tree.indexes(place.prefix))
                changed = [self.body(node.nodes, earlier, frame) for frame in frames]
                return any(changed)
            case LoopNode():
                return self._passes(node, before if isinstance(before, LoopNode) else None, place)
            case SwitchNode():
                cases = before.cases if isinstance(before, SwitchNode) else ()
                earlier = {name: one for case in cases for name, one in case.nodes.items()}
                changed = [self.body(case.nodes, earlier, place) for case in node.cases]
                return any(changed)

    def _passes(self, node: LoopNode, before: LoopNode | None, place: _Place) -> bool:
        """Each pass makes the state of the next."""
        has_changed, is_stale = False, place.is_all_stale
        following = None if node.next_state is None else node.next_state.raw
        earlier = before.next_state.raw if before is not None and before.next_state else None
        for index in self.tree.indexes(place.prefix):
            frame = self._frame(_Place(place.prefix, place.stale, is_stale), index)
            has_changed |= self.body(node.nodes, before.nodes if before else {}, frame)
            is_next_stale = node.next_state is not None and self._reads_stale(
                node.next_state, place
            )
            is_stale = is_stale or has_changed or following != earlier or is_next_stale
        return has_changed

    def _frame(self, place: _Place, index: int) -> _Place:
        return _Place(f"{place.prefix}[{index}]", place.stale, place.is_all_stale)

    def _is_entry_stale(self, node: Container, before: Node, place: _Place) -> bool:
        if entry_definition(node) != entry_definition(before):
            return True
        found: list[Expression | None] = [node.when]
        match node:
            case MapNode():
                found.append(node.over)
            case LoopNode():
                found.append(node.state)
            case SwitchNode():
                found += [case.when for case in node.cases]
        return any(self._reads_stale(one, place) for one in found if one is not None)

    def _reads_stale(self, expression: Expression, place: _Place) -> bool:
        return any(
            self._is_changed_input(reference) or node_read(reference) in place.stale
            for reference in expression.references
        )

    def _is_changed_input(self, reference: Reference) -> bool:
        if reference.name != "inputs":
            return False
        changed = self.change.inputs
        return bool(changed) and (not reference.fields or reference.fields[0] in changed)


def _nodes(nodes: Mapping[str, Node], prefix: str) -> Iterator[tuple[str, Node]]:
    """Every node with its path without indexes."""
    for name, node in nodes.items():
        path = f"{prefix}.{name}" if prefix else name
        yield path, node
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            for _, inner in inner_nodes(node):
                yield from _nodes(inner, path)


def _inputs_of(expression: Expression, template: Template) -> set[str]:
    found: set[str] = set()
    for reference in expression.references:
        if reference.name == "inputs":
            found |= {reference.fields[0]} if reference.fields else set(template.inputs)
    return found
