"""A template's text under another version number, with nothing else touched."""

from treadle.agents.language.loading import load
from treadle.platform.errors import Conflict


class NotRenumbered(Conflict):
    """The number is written in a way that cannot be replaced where it stands."""

    code = "not_renumbered"

    def __init__(self, version: str) -> None:
        super().__init__(
            f"the number {version!r} of this text cannot be replaced; publish it with another one"
        )


def renumbered(text: str, version: str) -> str:
    """The text with the value of its top-level `version` replaced, byte for byte the same else.

    Raises `NotRenumbered`.
    """
    document = load(text)
    old = str(document.at(("version",)))
    spot = document.spot(("version",))
    lines = text.split("\n")
    line = lines[spot.line - 1]
    before, after = line[: spot.column - 1], line[spot.column - 1 :]
    lines[spot.line - 1] = before + after.replace(old, version, 1)
    made = "\n".join(lines)
    if load(made).at(("version",)) != version:
        raise NotRenumbered(old)
    return made
