"""References make edges: what a node depends on, the order of a scope, its cycles.

A scope is a map of sibling nodes: a template's, a map's or loop's, a case's, `on_failure`'s.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from treadle.agents.expressions import Reference
from treadle.agents.language.walk import expressions, inner_nodes
from treadle.agents.nodes import Container, Node
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode


def node_read(reference: Reference) -> str:
    """The name a reference may mean a node by: `expand` in `expand.x` and `nodes.expand.status`."""
    if reference.name == "nodes" and reference.fields:
        return reference.fields[0]
    return reference.name


def names_read(node: Node) -> Iterator[str]:
    """Every name that may be a node's, read or needed by a node or by what is inside it."""
    yield from node.needs
    for _, expression in expressions(node):
        yield from map(node_read, expression.references)
    if isinstance(node, MapNode | LoopNode | SwitchNode):
        yield from _names_read_inside(node)


def _names_read_inside(container: Container) -> Iterator[str]:
    own = {name for _, nodes in inner_nodes(container) for name in nodes}
    for _, nodes in inner_nodes(container):
        for inner in nodes.values():
            yield from (name for name in names_read(inner) if name not in own)


def dependencies(nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """Per node the siblings it waits for, in the order of the template.

    A container waits for what its inner nodes read. A node that reads itself has itself here.
    """
    read = {name: set(names_read(node)) for name, node in nodes.items()}
    return {name: tuple(other for other in nodes if other in read[name]) for name in nodes}


def topological_order(depends_on: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Each node after those it waits for; otherwise the order of the template.

    Raises:
        ValueError: There is a cycle; a checked template has none.
    """
    rank = {name: place for place, name in enumerate(depends_on)}
    open_edges = {name: len(others) for name, others in depends_on.items()}
    readers: dict[str, list[str]] = {name: [] for name in depends_on}
    for name, others in depends_on.items():
        for other in others:
            readers[other].append(name)
    ready = [(rank[name], name) for name, count in open_edges.items() if not count]
    order: list[str] = []
    while ready:
        _, name = heappop(ready)
        order.append(name)
        for reader in readers[name]:
            open_edges[reader] -= 1
            if not open_edges[reader]:
                heappush(ready, (rank[reader], reader))
    if len(order) < len(depends_on):
        left = [name for name in depends_on if name not in order]
        raise ValueError(f"these nodes wait for each other: {', '.join(left)}")
    return order


def find_cycles(depends_on: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """One cycle through each group of nodes that wait for each other: `[a, b, a]`."""
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in depends_on:
        cycle = _cycle_from(start, depends_on, done)
        if cycle is not None:
            cycles.append(cycle)
    return cycles


def _cycle_from(
    start: str, depends_on: Mapping[str, tuple[str, ...]], done: set[str]
) -> list[str] | None:
    """Search in depth without recursion; `done` collects what needs no second visit."""
    if start in done:
        return None
    trail = [start]
    on_trail = {start}
    branches = [iter(depends_on[start])]
    found: list[str] | None = None
    while branches:
        following = next(branches[-1], None)
        if following is None:
            branches.pop()
            done.add(trail[-1])
            on_trail.discard(trail.pop())
        elif following in on_trail:
            if found is None:
                found = [*trail[trail.index(following) :], following]
        elif following not in done:
            trail.append(following)
            on_trail.add(following)
            branches.append(iter(depends_on[following]))
    return found
