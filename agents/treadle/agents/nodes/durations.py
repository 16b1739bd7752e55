"""Durations as templates write them: `500ms`, `30s`, `10m`, `3h`, `7d`."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

PATTERN = r"^\d+(ms|s|m|h|d)$"
LONGEST = timedelta(days=3650)
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_PARTS = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration; raises `ValueError` with what is wrong and how to write it."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text[:40]!r} is no duration; write a whole number and ms, s, m, h or d")
    count, unit = int(parts[1]), _UNITS[parts[2]]
    if count > LONGEST // unit:
        raise ValueError(f"the duration {text!r} is longer than {LONGEST.days} days")
    return count * unit


def _read(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("duration", "expected a duration such as 30s, 10m or 7d")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{why}", {"why": str(error)}) from None


Duration = Annotated[
    timedelta,
    BeforeValidator(_read),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["30s", "10m", "7d"]}),
]
