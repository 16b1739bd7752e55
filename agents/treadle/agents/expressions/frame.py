"""What one evaluation carries: its names, its fuel, and the errors it can end with."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import limits
from treadle.agents.values import JsonValue


class Undefined(ExpressionError):
    """A name, field or index does not exist; `default` and `is defined` catch it."""


class LimitExceeded(ExpressionError):
    """The expression asked for more work or memory than any expression may use."""


class Frame:
    """The state of one evaluation. Fuel is counted, never measured, so results are repeatable."""

    __slots__ = ("fuel", "names", "scope")

    def __init__(self, scope: Mapping[str, JsonValue]) -> None:
        self.scope = scope
        self.names: dict[str, JsonValue] = {}
        self.fuel = limits.FUEL

    def charge(self, units: int) -> None:
        """Pay for work before doing it; raises `LimitExceeded`."""
        self.fuel -= units
        if self.fuel < 0:
            raise LimitExceeded(
                f"the expression needs more than {limits.FUEL:,} units of work; "
                "do less in one expression or use a `map` node"
            )

    def charge_text(self, length: int) -> None:
        """Pay for reading or making text."""
        if length > limits.MAX_STRING:
            raise LimitExceeded(f"a text would be longer than {limits.MAX_STRING:,} characters")
        self.charge(1 + length // limits.CHARACTERS_PER_FUEL)

    def charge_list(self, length: int) -> None:
        """Pay for making a list."""
        if length > limits.MAX_LIST:
            raise LimitExceeded(f"a list would have more than {limits.MAX_LIST:,} elements")
        self.charge(1 + length)

    def charge_deep(self, value: JsonValue) -> None:
        """Pay for reading a value to its last leaf (comparison, `tojson`, text)."""
        stack: list[JsonValue] = [value]
        while stack:
            match stack.pop():
                case str() as text:
                    self.charge(1 + len(text) // limits.CHARACTERS_PER_FUEL)
                case list() as items:
                    self.charge(1 + len(items))
                    stack.extend(items)
                case dict() as fields:
                    self.charge(1 + 2 * len(fields))
                    stack.extend(fields.values())
                case _:
                    self.charge(1)


Evaluate: TypeAlias = Callable[[Frame], JsonValue]
