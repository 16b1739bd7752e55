"""What is decided by the inputs alone, before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import nodes

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions.syntax import parse
from treadle.agents.nodes.fields import Condition, Value
from treadle.agents.values import JsonValue

Known = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Decided:
    """A value that is known already."""

    value: JsonValue


def decided(found: Value | Condition, known: Known) -> Decided | None:
    """The value of an expression, if all it reads is known."""
    if any(reference.name not in known for reference in found.references):
        return None
    try:
        return Decided(found.evaluate(known))
    except ExpressionError:
        return None


def longest_list(found: Value, known: Known) -> int | None:
    """How many elements `xs[:n]` has at most, if `n` is known although `xs` is not."""
    if not isinstance(found.raw, str):
        return None
    body, _ = parse(found.raw)
    match body:
        case [
            nodes.Output(
                nodes=[nodes.Getitem(arg=nodes.Slice(start=None, stop=nodes.Expr() as stop))]
            )
        ]:
            return _number(stop, known)
        case _:
            return None


def _number(stop: nodes.Expr, known: Known) -> int | None:
    match stop:
        case nodes.Const(value=int() as number):
            return max(0, number)
        case nodes.Getattr(node=nodes.Name(name=name), attr=key):
            holder = known.get(name)
            found = holder.get(key) if isinstance(holder, dict) else None
            return max(0, found) if isinstance(found, int) else None
        case _:
            return None
