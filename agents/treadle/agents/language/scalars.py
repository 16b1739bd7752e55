"""Plain scalars by YAML 1.2's core schema: `on`, `no`, `1:30` and dates stay texts."""

import math
import re

from treadle.agents.values import JsonValue

GREATEST = 2**63 - 1
MOST_DIGITS = 400  # `int()` of a longer text is slow, and refused by Python over 4,300

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True} | {
    "false": False,
    "False": False,
    "FALSE": False,
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class NotJson(ValueError):
    """A scalar means a number that JSON cannot hold."""


def read_plain(text: str) -> JsonValue:
    """The value of a plain scalar; raises `NotJson`."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in "-+.0123456789":
        return text
    if _NO_NUMBER.fullmatch(text):
        raise NotJson(f"{text} is no number that JSON can hold; quote it if it is a text")
    return _read_number(text)


def _read_number(text: str) -> JsonValue:
    for pattern, base, skip in ((_DECIMAL, 10, 0), (_OCTAL, 8, 2), (_HEXADECIMAL, 16, 2)):
        if pattern.fullmatch(text):
            return whole_number(text[skip:], base=base)
    return real_number(text) if _FLOAT.fullmatch(text) else text


def whole_number(digits: str, *, base: int = 10) -> int:
    """An integer of at most 64 bits; raises `NotJson`."""
    value = int(digits, base) if len(digits) <= MOST_DIGITS else GREATEST + 1
    if abs(value) > GREATEST:
        raise NotJson("this whole number is beyond 64 bits; quote it if it is a text")
    return value


def real_number(text: str) -> float:
    """A finite float; raises `NotJson`."""
    value = float(text)
    if not math.isfinite(value):
        raise NotJson("this number is too large; quote it if it is a text")
    return value
