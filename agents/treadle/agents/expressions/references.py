"""Which names an expression reads: references make a template's edges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import nodes

from treadle.agents.expressions.syntax import Positions


@dataclass(frozen=True, slots=True)
class Reference:
    """A name an expression reads, with the constant fields after it: `nodes.x.status`.

    Attributes:
        name: The first name: a node id, `inputs`, `nodes`, `state`, ….
        fields: Constant keys after it, as far as they are constant.
        offset: Position in the source, 0-based.
        guarded: Whether a `default` filter or `is defined` test makes its absence harmless.
    """

    name: str
    fields: tuple[str, ...]
    offset: int
    guarded: bool


def references(body: Sequence[nodes.Node], positions: Positions) -> Iterator[Reference]:
    """Every free name in reading order; names bound by `for` are not free."""
    for node in body:
        yield from _walk(node, positions, frozenset(), guarded=False)


def _walk(
    node: nodes.Node, positions: Positions, local: frozenset[str], *, guarded: bool
) -> Iterator[Reference]:
    match node:
        case nodes.Name() | nodes.Getattr() | nodes.Getitem():
            yield from _path(node, positions, local, guarded=guarded)
        case nodes.Filter(name="default", node=nodes.Node() as inner, args=args):
            yield from _walk(inner, positions, local, guarded=True)
            for arg in args:
                yield from _walk(arg, positions, local, guarded=guarded)
        case nodes.Test(name="defined" | "undefined", node=inner):
            yield from _walk(inner, positions, local, guarded=True)
        case nodes.CondExpr(test=test, expr1=yes):  # read in the order of the text
            for part in (yes, test, *filter(None, [node.expr2])):
                yield from _walk(part, positions, local, guarded=guarded)
        case nodes.For():
            yield from _loop(node, positions, local)
        case _:
            for child in node.iter_child_nodes():
                yield from _walk(child, positions, local, guarded=guarded)


def _loop(node: nodes.For, positions: Positions, local: frozenset[str]) -> Iterator[Reference]:
    target = node.target
    names = [target] if isinstance(target, nodes.Name) else target.find_all(nodes.Name)
    bound = frozenset(name.name for name in names)
    for name in bound:
        positions.next(name)
    yield from _walk(node.iter, positions, local, guarded=False)
    for part in node.body:
        yield from _walk(part, positions, local | bound, guarded=False)
    for part in node.else_:
        yield from _walk(part, positions, local, guarded=False)


def _path(
    start: nodes.Node, positions: Positions, local: frozenset[str], *, guarded: bool
) -> Iterator[Reference]:
    fields: list[str] = []
    subscripts: list[nodes.Node] = []
    node = start
    while True:
        match node:
            case nodes.Getattr(node=target, attr=key):
                fields.append(key)
            case nodes.Getitem(node=target, arg=nodes.Const(value=str() as key)):
                fields.append(key)
            case nodes.Getitem(node=target, arg=arg):
                fields.clear()
                subscripts.append(arg)
            case _:
                break
        node = target
    if isinstance(node, nodes.Name):
        offset = positions.next(node.name)
        if node.name not in local:
            yield Reference(node.name, tuple(reversed(fields)), offset, guarded)
    else:
        yield from _walk(node, positions, local, guarded=guarded)
    for subscript in reversed(subscripts):
        yield from _walk(subscript, positions, local, guarded=False)
