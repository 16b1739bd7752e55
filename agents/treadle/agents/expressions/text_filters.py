"""Filters that read or make text."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions.frame import Frame
from treadle.agents.expressions.semantics import number, render, text, type_name
from treadle.agents.values import JsonValue

DATE_DIRECTIVES = frozenset("aAbBdHIjmMpSyYzZfGuV%")


def lower(frame: Frame, value: JsonValue) -> JsonValue:
    """Lower case."""
    return _charged(frame, value, what="`lower`").lower()


def upper(frame: Frame, value: JsonValue) -> JsonValue:
    """Upper case."""
    return _charged(frame, value, what="`upper`").upper()


def trim(frame: Frame, value: JsonValue) -> JsonValue:
    """Without white space at both ends."""
    return _charged(frame, value, what="`trim`").strip()


def truncate(
    frame: Frame, value: JsonValue, limit: JsonValue = 255, end: JsonValue = "…"
) -> JsonValue:
    """At most so many characters, `end` included where something was cut."""
    source = _charged(frame, value, what="`truncate`")
    most = number(limit, what="the length of `truncate`")
    mark = text(end, what="the end of `truncate`")
    if not isinstance(most, int) or most < len(mark):
        raise ExpressionError("the length of `truncate` must be a whole number, not below its end")
    return source if len(source) <= most else source[: most - len(mark)] + mark


def replace(frame: Frame, value: JsonValue, old: JsonValue, new: JsonValue) -> JsonValue:
    """Every occurrence of a literal text replaced."""
    source = _charged(frame, value, what="`replace`")
    sought = text(old, what="`replace`")
    put = text(new, what="`replace`")
    if not sought:
        raise ExpressionError("`replace` needs a text to look for, found an empty one")
    count = source.count(sought)
    frame.charge_text(len(source) + count * (len(put) - len(sought)))
    return source.replace(sought, put)


def split(frame: Frame, value: JsonValue, separator: JsonValue = None) -> JsonValue:
    """The parts between separators, or between white space without one."""
    source = _charged(frame, value, what="`split`")
    between = None if separator is None else text(separator, what="the separator of `split`")
    if between == "":
        raise ExpressionError("the separator of `split` must not be empty")
    count = len(source) // 2 + 1 if between is None else source.count(between) + 1
    if between is not None or count > 10_000:
        frame.charge_list(count if between is not None else len(source.split()))
    parts: list[JsonValue] = [*source.split(between)]
    return parts


def url_encode(frame: Frame, value: JsonValue) -> JsonValue:
    """Percent-encoded for one part of a URL; an object becomes a query string."""
    frame.charge_deep(value)
    if isinstance(value, dict):
        return urlencode({key: render(frame, item) for key, item in value.items()})
    source = render(frame, value)
    frame.charge(len(source) // 8)
    return quote(source, safe="")


def slug(frame: Frame, value: JsonValue) -> JsonValue:
    """Lower-case letters and digits joined by hyphens, for URLs and file names."""
    source = _charged(frame, value, what="`slug`")
    frame.charge(len(source) // 8)
    plain = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def date(frame: Frame, value: JsonValue, form: JsonValue = "%Y-%m-%d") -> JsonValue:
    """A date or time (ISO 8601 text, or seconds since 1970) in strftime's form."""
    pattern = text(form, what="the format of `date`")
    if len(pattern) > 100:
        raise ExpressionError("the format of `date` is longer than 100 characters")
    for directive in re.findall(r"%(.?)", pattern):
        if directive not in DATE_DIRECTIVES or not directive:
            raise ExpressionError(f"the format of `date` has an unknown directive '%{directive}'")
    frame.charge(4)
    return _moment(value).strftime(pattern)


def _moment(value: JsonValue) -> datetime:
    try:
        if isinstance(value, str) and len(value) <= 64:
            return datetime.fromisoformat(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    shown = value[:60] if isinstance(value, str) else type_name(value)
    raise ExpressionError(f"`date` needs an ISO 8601 text or seconds since 1970, found {shown!r}")


def _charged(frame: Frame, value: JsonValue, *, what: str) -> str:
    source = text(value, what=what)
    frame.charge_text(len(source))
    return source


TEXT_FILTERS: dict[str, Callable[..., JsonValue]] = {
    "lower": lower, "upper": upper, "trim": trim, "truncate": truncate, "replace": replace,
    "split": split, "urlencode": url_encode, "slug": slug, "date": date,
}  # fmt: skip
