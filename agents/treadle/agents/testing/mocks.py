"""Reading a mock: a value, `$error`, `$each` or `$fixture`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from treadle.agents.errors import StepFailed
from treadle.agents.testing.errors import MockUnfit
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass

_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Mock:
    """What one node gives in a test.

    Attributes:
        node: The path it is keyed by.
        written: As the template has it.
    """

    node: str
    written: JsonValue
    fixtures: Mapping[str, JsonValue]

    def answer(self, step_path: str) -> JsonValue:
        """The output of a step; raises `StepFailed` where it is an error, or `MockUnfit`."""
        indexes = [int(index) for index in _INDEX.findall(step_path)]
        return self._read(self._entry(step_path, indexes))

    def _entry(self, path: str, indexes: list[int]) -> JsonValue:
        """Follow `$each` inwards: the innermost list counts the nearest items or passes."""
        found = self.written
        depth = _depth(found)
        if depth > len(indexes):
            raise MockUnfit(
                self.node, path, f"`$each` nests {depth} deep, the step lies in {len(indexes)}"
            )
        for index in indexes[len(indexes) - depth :]:
            entries = _each(found)
            if entries is None:
                break
            if index >= len(entries):
                raise MockUnfit(
                    self.node, path, f"`$each` has {len(entries)} entries, this is number {index}"
                )
            found = entries[index]
        return found

    def _read(self, entry: JsonValue) -> JsonValue:
        match entry:
            case {"$error": str() as name, **rest} if not rest:
                raise StepFailed(
                    f"mocked error of class {name}", error_class=ErrorClass(name), code="mocked"
                )
            case {"$fixture": str() as name, **rest} if not rest:
                return self.fixtures[name]
            case _:
                return entry


def _each(mock: JsonValue) -> list[JsonValue] | None:
    match mock:
        case {"$each": list() as entries, **rest} if not rest:
            return entries
        case _:
            return None


def _depth(mock: JsonValue) -> int:
    entries = _each(mock)
    if entries is None:
        return 0
    return 1 + max((_depth(entry) for entry in entries), default=0)
