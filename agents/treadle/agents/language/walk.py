"""Where the expressions of a part of a template stand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from treadle.agents.expressions import Reference
from treadle.agents.nodes import Container, Node
from treadle.agents.nodes.base import NodeBase, Part
from treadle.agents.nodes.fields import Condition, Path, Value
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode

Expression: TypeAlias = Value | Condition


@dataclass(frozen=True, slots=True)
class Placed:
    """One name that is read, and the string it stands in (`path` from the part, with indexes)."""

    path: Path
    reference: Reference


def expressions(part: Part) -> Iterator[tuple[Path, Expression]]:
    """Every expression of a part, without those of nodes inside it, in order of the fields."""
    for name, field in type(part).model_fields.items():
        yield from _expressions_in(getattr(part, name), (field.alias or name,))


def _expressions_in(item: object, path: Path) -> Iterator[tuple[Path, Expression]]:
    match item:
        case Value() | Condition():
            yield path, item
        case NodeBase():
            return
        case Part():
            for inner, expression in expressions(item):
                yield (*path, *inner), expression
        case dict() | tuple():
            # A field's value has no static type; containers of the model hold only its own types.
            entries = cast("dict[str, object] | tuple[object, ...]", item)
            pairs = entries.items() if isinstance(entries, dict) else enumerate(entries)
            for key, inner_item in pairs:
                yield from _expressions_in(inner_item, (*path, key))
        case _:
            return


def placed_references(expression: Expression, path: Path) -> Iterator[Placed]:
    """Every name an expression at `path` reads."""
    if isinstance(expression, Condition):
        yield from (Placed(path, reference) for reference in expression.references)
        return
    for leaf in expression.leaves:
        yield from (Placed((*path, *leaf.path), reference) for reference in leaf.references)


def inner_nodes(container: Container) -> list[tuple[Path, Mapping[str, Node]]]:
    """The node maps inside a container, each with its path from the container."""
    match container:
        case MapNode() | LoopNode():
            return [(("nodes",), container.nodes)]
        case SwitchNode():
            return [(("cases", i, "nodes"), case.nodes) for i, case in enumerate(container.cases)]
