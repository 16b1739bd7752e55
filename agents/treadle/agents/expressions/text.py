"""Closures for text with markers: literals, `${{ }}`, `${% if %}` and `${% for %}`."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from jinja2 import nodes

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import limits
from treadle.agents.expressions.frame import Evaluate, Frame, LimitExceeded
from treadle.agents.expressions.operators import Locals, build, static_cost
from treadle.agents.expressions.semantics import render, type_name
from treadle.agents.values import JsonValue

Write: TypeAlias = Callable[[Frame, list[str]], None]
"""Appends its text to the parts made so far."""


def build_text(body: Sequence[nodes.Node]) -> Evaluate:
    """Turn a text's syntax tree into a closure that makes the text."""
    write = _sequence(body, frozenset())

    def make(frame: Frame) -> JsonValue:
        parts: list[str] = []
        write(frame, parts)
        made = "".join(parts)
        if len(made) > limits.MAX_OUTPUT:
            raise LimitExceeded(f"the text would be longer than {limits.MAX_OUTPUT:,} characters")
        return made

    return make


def _sequence(body: Sequence[nodes.Node], local: Locals) -> Write:
    writers = [_statement(node, local) for node in body]
    if len(writers) == 1:
        return writers[0]

    def write(frame: Frame, parts: list[str]) -> None:
        for writer in writers:
            writer(frame, parts)

    return write


def _statement(node: nodes.Node, local: Locals) -> Write:
    match node:
        case nodes.Output(nodes=outputs):
            return _output(outputs, local)
        case nodes.If(test=test, body=body, elif_=others, else_=otherwise):
            branches = [(test, body), *((other.test, other.body) for other in others)]
            return _if(
                [(build(t, local), _sequence(b, local)) for t, b in branches],
                _sequence(otherwise, local),
            )
        case nodes.For(target=target, iter=over, body=body, else_=otherwise):
            names = _targets(target)
            inner = _sequence(body, local | set(names))
            return _for(names, build(over, local), inner, _sequence(otherwise, local), _cost(body))
        case _:
            raise ExpressionError(f"`{type(node).__name__.lower()}` is not allowed here")


def _cost(body: Sequence[nodes.Node]) -> int:
    return 1 + sum(static_cost(node) for node in body)


def _output(outputs: Sequence[nodes.Node], local: Locals) -> Write:
    pieces: list[str | Evaluate] = [
        node.data if isinstance(node, nodes.TemplateData) else build(node, local)
        for node in outputs
    ]

    def write(frame: Frame, parts: list[str]) -> None:
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            value = piece(frame)
            parts.append(value if isinstance(value, str) else render(frame, value))
            frame.charge(1 + len(parts[-1]) // limits.CHARACTERS_PER_FUEL)

    return write


def _if(branches: list[tuple[Evaluate, Write]], otherwise: Write) -> Write:
    def write(frame: Frame, parts: list[str]) -> None:
        for test, body in branches:
            if test(frame):
                return body(frame, parts)
        return otherwise(frame, parts)

    return write


def _targets(target: nodes.Node) -> list[str]:
    match target:
        case nodes.Name(name=name):
            return [name]
        case nodes.Tuple(items=targets):
            return [name for part in targets for name in _targets(part)]
        case _:
            raise ExpressionError("`for` needs a name: `${% for x in xs %}`")


def _for(names: list[str], over: Evaluate, body: Write, otherwise: Write, cost: int) -> Write:
    def write(frame: Frame, parts: list[str]) -> None:
        elements = over(frame)
        if not isinstance(elements, list):
            raise ExpressionError(f"`for` needs a list, found {type_name(elements)}")
        outer = frame.names
        try:
            for element in elements:
                frame.charge(cost)
                frame.names = {**outer, **_bind(names, element)}
                body(frame, parts)
        finally:
            frame.names = outer
        if not elements:
            otherwise(frame, parts)

    return write


def _bind(names: list[str], element: JsonValue) -> dict[str, JsonValue]:
    if len(names) == 1:
        return {names[0]: element}
    if not isinstance(element, list) or len(element) != len(names):
        raise ExpressionError(f"`for {', '.join(names)}` needs lists of {len(names)} elements")
    return dict(zip(names, element, strict=True))
