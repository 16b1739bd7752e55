"""One answer of the doctor."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    """It works, with something missing or slower."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one part; `mend` says what to do where it is not good."""

    part: str
    state: State
    message: str
    mend: str | None = None


def good(part: str, message: str) -> Finding:
    """All is well."""
    return Finding(part, State.GOOD, message)


def warning(part: str, message: str, mend: str) -> Finding:
    """It works without."""
    return Finding(part, State.WARNING, message, mend)


def wrong(part: str, message: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(part, State.WRONG, message, mend)
