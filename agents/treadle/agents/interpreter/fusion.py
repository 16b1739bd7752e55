"""Which nodes share a task.

Pure nodes that wait for the same effects become ready at the same moment: they share one task and
one commit. A pure node never joins a task that waits for more than it refers to itself, so no
barrier arises.
"""

from collections.abc import Sequence
from graphlib import TopologicalSorter

from treadle.agents.steps.graph import Body, Node, PureWork, Unit

Ids = frozenset[str]


def fuse(nodes: Sequence[Node]) -> Body:
    """Group a body's nodes, given in topological order, into units."""
    frontiers = _frontiers(nodes)
    groups: list[list[Node]] = []
    shared: dict[Ids, list[Node]] = {}
    for node in nodes:
        if isinstance(node.work, PureWork) and frontiers[node.id] in shared:
            shared[frontiers[node.id]].append(node)
            continue
        groups.append([node])
        if isinstance(node.work, PureWork):
            shared[frontiers[node.id]] = groups[-1]
    return Body(_units(groups), is_pure=all(node.is_pure for node in nodes))


def _frontiers(nodes: Sequence[Node]) -> dict[str, Ids]:
    """Per node the last effects it waits for; effects that these wait for are implied."""
    pure = {node.id for node in nodes if isinstance(node.work, PureWork)}
    frontiers: dict[str, Ids] = {}
    reached: dict[str, Ids] = {}
    none: Ids = frozenset()
    for node in nodes:
        direct = none.union(
            *(frontiers[id_] if id_ in pure else frozenset({id_}) for id_ in node.upstream)
        )
        implied = none.union(*(reached[id_] for id_ in direct))
        frontiers[node.id] = direct - implied
        reached[node.id] = direct | implied
    return frontiers


def _units(groups: Sequence[Sequence[Node]]) -> tuple[Unit, ...]:
    """The groups as units, in topological order of the groups."""
    group_of = {node.id: index for index, group in enumerate(groups) for node in group}
    upstream = {
        index: {group_of[id_] for node in group for id_ in node.upstream} - {index}
        for index, group in enumerate(groups)
    }
    order = tuple(TopologicalSorter(upstream).static_order())
    position = {index: place for place, index in enumerate(order)}
    return tuple(
        Unit(tuple(groups[index]), tuple(sorted(position[other] for other in upstream[index])))
        for index in order
    )
