"""What a compiled expression is to the rest of the code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from jinja2 import nodes

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions.frame import Evaluate, Frame
from treadle.agents.expressions.operators import build, static_cost
from treadle.agents.expressions.references import Reference, references
from treadle.agents.expressions.syntax import has_markers, parse, parse_expression
from treadle.agents.expressions.text import build_text
from treadle.agents.values import JsonValue


class Compiled(Protocol):
    """An expression or value, checked and ready to evaluate any number of times."""

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every free name, in order of appearance; names bound by `for` are not free."""
        ...

    @property
    def is_constant(self) -> bool:
        """Whether it has no markers at all."""
        ...

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value in this scope; raises `ExpressionError`. Same scope, same result, same fuel."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """A value without markers."""

    value: JsonValue
    references: tuple[Reference, ...] = ()
    is_constant: bool = True

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value itself."""
        return self.value


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression or a text, as one closure; `cost` is the fuel its parts take once."""

    closure: Evaluate
    cost: int
    references: tuple[Reference, ...]
    is_constant: bool = False

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value in this scope."""
        frame = Frame(scope)
        frame.fuel -= self.cost
        return self.closure(frame)


def compile_expression(source: str) -> Compiled:
    """Compile a bare expression (no marker); raises `ExpressionError` with an offset."""
    node, positions = parse_expression(source)
    found = tuple(references([node], positions))
    return Formula(build(node, frozenset()), static_cost(node), found)


@lru_cache(maxsize=1024)  # a text inside a value is compiled for its place, then for the whole
def compile_text(source: str) -> Compiled:
    """Compile a string that may hold markers; one that is a whole expression keeps its type."""
    if not has_markers(source):
        return Constant(source)
    body, positions = parse(source)
    found = tuple(references(body, positions))
    cost = sum(static_cost(node) for node in body)
    match body:
        case [nodes.Output(nodes=[nodes.TemplateData(data=literal)])]:
            return Constant(literal)
        case [nodes.Output(nodes=[nodes.Expr() as whole])]:
            return Formula(build(whole, frozenset()), cost, found)
        case _:
            return Formula(build_text(body), cost, found)


def compile_value(value: JsonValue) -> Compiled:
    """Compile a JSON value; strings in it may hold `${{ }}` and `${% %}`.

    Errors carry the path inside the value in their message. A string that is one whole
    expression keeps its type; any other string with markers becomes text.
    """
    if isinstance(value, str):
        return compile_text(value)
    leaves = dict(_formulas(value, ""))
    if not leaves:
        return Constant(value)
    found = tuple(ref for leaf in leaves.values() for ref in leaf.references)
    return Formula(_assemble(value, "", leaves), sum(leaf.cost for leaf in leaves.values()), found)


def _formulas(value: JsonValue, path: str) -> Iterator[tuple[str, Formula]]:
    match value:
        case str():
            try:
                compiled = compile_text(value)
            except ExpressionError as error:
                raise ExpressionError(f"{path}: {error.message}", offset=error.offset) from None
            if isinstance(compiled, Formula):
                yield path, compiled
        case list():
            for index, item in enumerate(value):
                yield from _formulas(item, f"{path}[{index}]")
        case dict():
            for key, item in value.items():
                yield from _formulas(item, f"{path}.{key}" if path else key)
        case _:
            pass


def _assemble(value: JsonValue, path: str, leaves: Mapping[str, Formula]) -> Evaluate:
    match value:
        case str() if path in leaves:
            return _located(leaves[path].closure, path)
        case list():
            parts = [_assemble(item, f"{path}[{i}]", leaves) for i, item in enumerate(value)]
            return lambda frame: [part(frame) for part in parts]
        case dict():
            fields = {
                key: _assemble(item, f"{path}.{key}" if path else key, leaves)
                for key, item in value.items()
            }
            return lambda frame: {key: field(frame) for key, field in fields.items()}
        case _:
            return lambda frame: value


def _located(closure: Evaluate, path: str) -> Evaluate:
    def evaluate(frame: Frame) -> JsonValue:
        try:
            return closure(frame)
        except ExpressionError as error:
            raise type(error)(f"{path}: {error.message}", offset=error.offset) from None

    return evaluate


__all__ = ["Compiled", "Reference", "compile_expression", "compile_text", "compile_value"]
