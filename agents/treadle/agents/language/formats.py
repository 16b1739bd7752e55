"""The `format`s of JSON Schema that are checked; others say something to people only."""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from ipaddress import ip_address
from urllib.parse import urlsplit
from uuid import UUID

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_HOSTNAME = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9](-?[A-Za-z0-9]){0,62})(\.[A-Za-z0-9](-?[A-Za-z0-9]){0,62})*"
)


def _is_moment(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def _is_date(text: str) -> bool:
    return len(text) == len("2000-12-31") and date.fromisoformat(text) >= date.min


def _is_uri(text: str) -> bool:
    parts = urlsplit(text)
    has_blank = any(character.isspace() for character in text)
    return bool(parts.scheme) and bool(parts.netloc or parts.path) and not has_blank


def _parses(read: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: read(text) is not None


_CHECKS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-time": _is_moment,
    "time": _parses(time.fromisoformat),
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "hostname": lambda text: len(text) <= 253 and _HOSTNAME.fullmatch(text) is not None,
    "uri": _is_uri,
    "url": _is_uri,
    "uuid": _parses(UUID),
    "ipv4": lambda text: ip_address(text).version == 4,
    "ipv6": lambda text: ip_address(text).version == 6,
    "file": lambda text: bool(text),
}


def fits_format(name: str, text: str) -> bool:
    """Whether a text has a format; true for formats we do not check."""
    check = _CHECKS.get(name)
    try:
        return check is None or check(text)
    except ValueError:
        return False
