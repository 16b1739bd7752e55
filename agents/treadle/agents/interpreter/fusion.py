"""Which nodes share a task.

Pure nodes that wait for the same effects become ready at the same moment: they share one task and
one commit. A pure node never joins a task that waits for more than it refers to itself, so no
barrier arises.

Effects in a row share a task too: where one unit waits for nothing but another, and nothing but it
waits for that other, the two are one after the other whatever shares their task. Each keeps its
own ledger entries, and none begins before the result of the one before is durable.
"""

from collections.abc import Sequence
from graphlib import TopologicalSorter

from treadle.agents.steps.graph import Body, EffectWork, Node, PureWork, Unit

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
    units = _chained(_units(groups))
    return Body(units, is_pure=all(node.is_pure for node in nodes))


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


def _chained(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Units in a row as one."""
    needs = _without_implied(units)
    waiting: list[list[int]] = [[] for _ in units]
    for index, direct in enumerate(needs):
        for other in direct:
            waiting[other].append(index)
    chain_of: list[int] = []  # by unit
    chains: list[list[int]] = []
    for index, direct in enumerate(needs):
        before = next(iter(direct)) if len(direct) == 1 else None
        if before is not None and waiting[before] == [index] and _may_share(units, before, index):
            chain_of.append(chain_of[before])
            chains[chain_of[before]].append(index)
        else:
            chain_of.append(len(chains))
            chains.append([index])
    return tuple(
        Unit(
            tuple(node for index in chain for node in units[index].nodes),
            tuple(sorted({chain_of[other] for other in units[chain[0]].upstream})),
        )
        for chain in chains
    )


def _without_implied(units: Sequence[Unit]) -> list[set[int]]:
    """What each unit waits for, without what those wait for themselves."""
    direct: list[set[int]] = []
    reached: list[set[int]] = []
    for unit in units:
        implied = {far for near in unit.upstream for far in reached[near]}
        direct.append(set(unit.upstream) - implied)
        reached.append(set(unit.upstream) | implied)
    return direct


def _may_share(units: Sequence[Unit], before: int, after: int) -> bool:
    """Whether both are of effects and pure nodes. What needs no task keeps none."""
    nodes = (*units[before].nodes, *units[after].nodes)
    return not units[before].is_inline and all(
        isinstance(node.work, PureWork | EffectWork) for node in nodes
    )
