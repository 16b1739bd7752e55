"""What a compiled expression is to the rest of the code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from treadle.agents.values import JsonValue


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


def compile_expression(source: str) -> Compiled:
    """Compile a bare expression (no marker); raises `ExpressionError` with an offset."""
    raise NotImplementedError


def compile_value(value: JsonValue) -> Compiled:
    """Compile a JSON value; strings in it may hold `${{ }}` and `${% %}`.

    Errors carry the path inside the value in their message. A string that is one whole
    expression keeps its type; any other string with markers becomes text.
    """
    raise NotImplementedError
