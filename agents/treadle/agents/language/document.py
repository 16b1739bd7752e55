"""A template's text as JSON values, each with its place in the text."""

from dataclasses import dataclass, field

from treadle.agents.nodes.fields import Path
from treadle.agents.values import JsonValue


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the text; both count from 1. `style` is how a text is written: `|`, `"`, …."""

    line: int
    column: int
    style: str | None = None


@dataclass(slots=True)
class Document:
    """What was read, with the place of every key and value by its path."""

    text: str
    content: JsonValue = None
    values: dict[Path, Spot] = field(default_factory=dict[Path, Spot])
    keys: dict[Path, Spot] = field(default_factory=dict[Path, Spot])

    def spot(self, path: Path) -> Spot:
        """The place of a value; of what holds it where the value is missing."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Spot(1, 1))

    def key_spot(self, path: Path) -> Spot:
        """The place of a key; of the value for list items."""
        return self.keys.get(path) or self.spot(path)

    def spot_inside(self, path: Path, offset: int | None) -> Spot:
        """The place of a character of a string, as exactly as its style allows."""
        spot = self.spot(path)
        source = self.at(path)
        if offset is None or not isinstance(source, str):
            return spot
        if spot.style == "|":
            return self._spot_in_block(spot, source, offset)
        if "\n" in source or "\\" in source:
            return spot
        return Spot(spot.line, spot.column + offset + (spot.style in {"'", '"'}))

    def at(self, path: Path) -> JsonValue:
        """The value at a path; null where there is none."""
        found = self.content
        for part in path:
            match found, part:
                case dict(), str():
                    found = found.get(part)
                case list(), int() if part < len(found):
                    found = found[part]
                case _:
                    return None
        return found

    def _spot_in_block(self, spot: Spot, source: str, offset: int) -> Spot:
        line = spot.line + 1 + source.count("\n", 0, offset)
        column = offset - (source.rfind("\n", 0, offset) + 1)
        lines = self.text.split("\n")
        first = next((shown for shown in lines[spot.line :] if shown.strip()), "")
        return Spot(line, column + 1 + len(first) - len(first.lstrip(" ")))


def dotted(path: Path) -> str:
    """A path as people read it: `triggers[0].inputs.seeds`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
