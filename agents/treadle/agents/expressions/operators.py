"""Closures for expressions: each syntax node becomes one function of a frame.

Work whose size is fixed by the source is paid once per evaluation (`static_cost`); what depends on
values is paid by the operator that meets them.
"""

import difflib
import inspect
from collections.abc import Callable
from functools import cache

from jinja2 import nodes

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions.filters import FILTERS
from treadle.agents.expressions.frame import Evaluate, Frame, Undefined
from treadle.agents.expressions.semantics import (
    checked,
    contains,
    equal,
    less,
    number,
    render,
    type_name,
)
from treadle.agents.values import JsonValue

Locals = frozenset[str]
TESTS: dict[str, Callable[[JsonValue], bool]] = {
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
}
_PATH = (nodes.Name, nodes.Getattr, nodes.Getitem)


def build(node: nodes.Node, local: Locals) -> Evaluate:  # noqa: C901 - one case per node
    """Turn a checked expression into a closure; `local` are names bound by `for`."""
    match node:
        case nodes.Const(value=value):
            return _constant(value)
        case nodes.Name(name=name):
            return _local(name) if name in local else _name(name)
        case nodes.Getattr(node=target, attr=key):
            return _field(build(target, local), key, label=path_of(target))
        case nodes.Getitem(node=target, arg=nodes.Slice(start=start, stop=stop)):
            return _slice(build(target, local), _optional(start, local), _optional(stop, local))
        case nodes.Getitem(node=target, arg=key):
            return _item(build(target, local), build(key, local), label=path_of(target))
        case nodes.And(left=left, right=right):
            return _and(build(left, local), build(right, local))
        case nodes.Or(left=left, right=right):
            return _or(build(left, local), build(right, local))
        case nodes.Not(node=inner):
            return _not(build(inner, local))
        case nodes.Neg(node=inner):
            return _negative(build(inner, local))
        case nodes.BinExpr(left=left, right=right):
            return _arithmetic(node, build(left, local), build(right, local))
        case nodes.Concat(nodes=parts):
            return concatenation([build(part, local) for part in parts])
        case nodes.Compare(expr=left, ops=[operand]):
            return _compare(operand.op, build(left, local), build(operand.expr, local))
        case nodes.CondExpr(test=test, expr1=yes, expr2=no):
            return _choice(build(test, local), build(yes, local), _optional(no, local))
        case nodes.List(items=parts) | nodes.Tuple(items=parts):
            return _list([build(part, local) for part in parts])
        case nodes.Dict(items=pairs):
            return _object([(build(p.key, local), build(p.value, local)) for p in pairs])
        case nodes.Test():
            return _test(node, local)
        case nodes.Filter():
            return _filter(node, local)
        case _:
            raise ExpressionError(f"`{type(node).__name__.lower()}` is not allowed here")


def static_cost(node: nodes.Node) -> int:
    """Fuel for evaluating every part of an expression once."""
    return 1 + sum(static_cost(child) for child in node.iter_child_nodes())


def path_of(node: nodes.Node) -> str:
    """How a path reads in messages: `inputs.seeds`."""
    match node:
        case nodes.Name(name=name):
            return name
        case nodes.Getattr(node=target, attr=key):
            return f"{path_of(target)}.{key}"
        case nodes.Getitem(node=target):
            return f"{path_of(target)}[…]"
        case _:
            return "the value"


def _optional(node: nodes.Node | None, local: Locals) -> Evaluate:
    return _constant(None) if node is None else build(node, local)


def _constant(value: JsonValue) -> Evaluate:
    return lambda frame: value


def _name(name: str) -> Evaluate:
    def read(frame: Frame) -> JsonValue:
        try:
            return frame.scope[name]
        except KeyError:
            hint = _similar(name, [*frame.scope])
            raise Undefined(f"name {name!r} is undefined{hint}") from None

    return read


def _similar(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known[:200], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _local(name: str) -> Evaluate:
    return lambda frame: frame.names[name]


def _field(target: Evaluate, key: str, *, label: str) -> Evaluate:
    def read(frame: Frame) -> JsonValue:
        value = target(frame)
        if isinstance(value, dict):
            try:
                return value[key]
            except KeyError:
                pass
        raise _no_field(value, key, label=label)

    return read


def _no_field(value: JsonValue, key: str, *, label: str) -> Undefined:
    if isinstance(value, dict):
        return Undefined(f"{label!r} has no field {key!r}{_similar(key, [*value])}")
    what = "null" if value is None else f"a {type_name(value)}"
    hint = "; add `| default(…)`" if value is None else ""
    return Undefined(f"{label!r} is {what} and has no field {key!r}{hint}")


def _item(target: Evaluate, key: Evaluate, *, label: str) -> Evaluate:
    def read(frame: Frame) -> JsonValue:
        value, index = target(frame), key(frame)
        match value, index:
            case (dict(), str()):
                if index in value and not index.startswith("__"):
                    return value[index]
            case (list() | str(), int()) if not isinstance(index, bool):
                if -len(value) <= index < len(value):
                    return value[index]
                raise Undefined(f"{label!r} has {len(value)} elements, none at {index}")
            case _:
                pass
        if isinstance(index, str):
            raise _no_field(value, index, label=label)
        raise Undefined(f"{label!r} is {type_name(value)}: no element at {render(frame, index)}")

    return read


def _slice(target: Evaluate, start: Evaluate, stop: Evaluate) -> Evaluate:
    def cut(frame: Frame) -> JsonValue:
        value = target(frame)
        span = slice(_bound(start(frame)), _bound(stop(frame)))
        match value:
            case str():
                frame.charge_text(len(value[span]))
                return value[span]
            case list():
                frame.charge_list(len(value[span]))
                return value[span]
            case _:
                raise ExpressionError(f"a slice needs a list or string, found {type_name(value)}")

    return cut


def _bound(value: JsonValue) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ExpressionError(f"the bounds of a slice must be whole numbers, found {type_name(value)}")


def _and(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda frame: left(frame) and right(frame)


def _or(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda frame: left(frame) or right(frame)


def _not(inner: Evaluate) -> Evaluate:
    return lambda frame: not inner(frame)


def _negative(inner: Evaluate) -> Evaluate:
    return lambda frame: checked(-number(inner(frame), what="`-`"))


def _choice(test: Evaluate, yes: Evaluate, no: Evaluate) -> Evaluate:
    return lambda frame: yes(frame) if test(frame) else no(frame)


def _divide(left: float, right: float, *, floor: bool, remainder: bool) -> int | float:
    if right == 0:
        raise ExpressionError("division by zero")
    if remainder:
        return left % right
    return left // right if floor else left / right


_NUMERIC: dict[type[nodes.Node], tuple[str, Callable[[float, float], int | float]]] = {
    nodes.Add: ("`+`", lambda a, b: a + b),
    nodes.Sub: ("`-`", lambda a, b: a - b),
    nodes.Mul: ("`*`", lambda a, b: a * b),
    nodes.Div: ("`/`", lambda a, b: _divide(a, b, floor=False, remainder=False)),
    nodes.FloorDiv: ("`//`", lambda a, b: _divide(a, b, floor=True, remainder=False)),
    nodes.Mod: ("`%`", lambda a, b: _divide(a, b, floor=False, remainder=True)),
}


def _arithmetic(node: nodes.Node, left: Evaluate, right: Evaluate) -> Evaluate:
    what, operate = _NUMERIC[type(node)]
    joins = isinstance(node, nodes.Add)

    def apply(frame: Frame) -> JsonValue:
        a, b = left(frame), right(frame)
        if joins and isinstance(a, list) and isinstance(b, list):
            frame.charge_list(len(a) + len(b))
            return a + b
        try:
            return checked(operate(number(a, what=what), number(b, what=what)))
        except OverflowError:
            raise ExpressionError(f"{what}: the result is not a finite number") from None

    return apply


def concatenation(parts: list[Evaluate]) -> Evaluate:
    """Join the parts as text."""

    def join(frame: Frame) -> JsonValue:
        rendered = [render(frame, part(frame)) for part in parts]
        frame.charge_text(sum(map(len, rendered)))
        return "".join(rendered)

    return join


def _compare(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    relations: dict[str, Callable[[Frame, JsonValue, JsonValue], bool]] = {
        "eq": equal,
        "ne": lambda frame, a, b: not equal(frame, a, b),
        "lt": less,
        "gt": lambda frame, a, b: less(frame, b, a),
        "lteq": lambda frame, a, b: not less(frame, b, a),
        "gteq": lambda frame, a, b: not less(frame, a, b),
        "in": lambda frame, a, b: contains(frame, b, a),
        "notin": lambda frame, a, b: not contains(frame, b, a),
    }
    relation = relations[operator]
    return lambda frame: relation(frame, left(frame), right(frame))


def _list(parts: list[Evaluate]) -> Evaluate:
    return lambda frame: [part(frame) for part in parts]


def _object(pairs: list[tuple[Evaluate, Evaluate]]) -> Evaluate:
    def make(frame: Frame) -> JsonValue:
        made: dict[str, JsonValue] = {}
        for key, value in pairs:
            name = key(frame)
            if not isinstance(name, str) or name.startswith("__"):
                raise ExpressionError("a key must be a string that does not start with `__`")
            made[name] = value(frame)
        return made

    return make


def _test(node: nodes.Test, local: Locals) -> Evaluate:
    if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise ExpressionError(f"the test `{node.name}` takes no arguments")
    inner = build(node.node, local)
    if node.name in ("defined", "undefined"):
        return _defined(inner, wanted=node.name == "defined")
    if node.name not in TESTS:
        known = [*TESTS, "defined", "undefined"]
        raise ExpressionError(_unknown("test", node.name, known))
    holds = TESTS[node.name]
    return lambda frame: holds(inner(frame))


def _defined(inner: Evaluate, *, wanted: bool) -> Evaluate:
    def test(frame: Frame) -> JsonValue:
        try:
            inner(frame)
        except Undefined:
            return not wanted
        return wanted

    return test


def _unknown(kind: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
    return f"no {kind} {name!r}; {hint}"


def _filter(node: nodes.Filter, local: Locals) -> Evaluate:
    if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError(f"the filter `{node.name}` stands in an unknown form")
    inner = build(node.node, local)
    args = [build(arg, local) for arg in node.args]
    named = {str(pair.key): build(pair.value, local) for pair in node.kwargs}
    if node.name == "default":
        if len(args) != 1 or named:
            raise ExpressionError("`default` takes one argument: `value | default('…')`")
        return _default(inner, args[0], catches=isinstance(node.node, _PATH))
    if node.name not in FILTERS:
        raise ExpressionError(_unknown("filter", node.name, [*FILTERS, "default"]))
    _check_arguments(node.name, len(args), sorted(named))
    return _apply(node.name, inner, args, named)


def _default(inner: Evaluate, fallback: Evaluate, *, catches: bool) -> Evaluate:
    def choose(frame: Frame) -> JsonValue:
        try:
            value = inner(frame)
        except Undefined:
            if not catches:
                raise
            return fallback(frame)
        return fallback(frame) if value is None else value

    return choose


@cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(FILTERS[name])


def _check_arguments(name: str, count: int, named: list[str]) -> None:
    try:
        _signature(name).bind(None, None, *range(count), **dict.fromkeys(named))
    except TypeError:
        parameters = list(_signature(name).parameters.values())[2:]
        shown = ", ".join(
            str(p).split(":", 1)[0] + ("?" if p.default is None else "") for p in parameters
        )
        raise ExpressionError(f"wrong arguments for the filter `{name}({shown})`") from None


def _apply(
    name: str, inner: Evaluate, args: list[Evaluate], named: dict[str, Evaluate]
) -> Evaluate:
    function = FILTERS[name]
    if not args and not named:
        return lambda frame: function(frame, inner(frame))
    return lambda frame: function(
        frame,
        inner(frame),
        *[arg(frame) for arg in args],
        **{key: value(frame) for key, value in named.items()},
    )
