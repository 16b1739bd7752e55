"""Leaves out what is wrong in a part, so that the rest of it can still be checked."""

from collections.abc import Sequence
from typing import cast

from treadle.agents.language.complaints import Complaint
from treadle.agents.nodes.fields import Path
from treadle.agents.values import JsonValue

_PLACEHOLDERS: dict[str, JsonValue] = {
    "treadle": 1, "max": 1, "name": "unnamed", "version": "0.0.0", "text": "", "type": "http",
    "use": "set", "nodes": {}, "knowledge": "", "query": "", "with": {}, "cases": [],
}  # fmt: skip
"""What stands for a required key that is missing; null for all others."""

_UNKNOWN = "${{ none | default(none) }}"
"""Stands for a wrong expression: a value of which nothing is known."""
_CONDITIONS = {"when", "until", "expect"}

_GONE = object()


def mended(raw: dict[str, object], found: Sequence[Complaint]) -> dict[str, object]:
    """A copy in which wrong values are left out and missing ones have a placeholder."""
    changed: object = raw
    for complaint in found:
        changed = _changed(changed, complaint.path, _in_place_of(complaint))
    return cast("dict[str, object]", _without_gone(changed))  # a mapping stays a mapping


def _in_place_of(complaint: Complaint) -> object:
    if complaint.at == "holder":
        return _PLACEHOLDERS.get(str(complaint.path[-1]))
    is_value = complaint.is_expression and _CONDITIONS.isdisjoint(complaint.path)
    return _UNKNOWN if is_value else _GONE


def _changed(raw: object, path: Path, value: object) -> object:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(raw, dict):
        copy = dict(cast("dict[str, object]", raw))
        copy[str(step)] = _changed(copy.get(str(step)), rest, value)
        return copy
    if not (isinstance(raw, list) and isinstance(step, int)):
        return value
    items = list(cast("list[object]", raw))
    items[step] = _changed(items[step], rest, value)
    return items


def _without_gone(raw: object) -> object:
    if isinstance(raw, dict):
        entries = cast("dict[str, object]", raw).items()
        return {key: _without_gone(item) for key, item in entries if item is not _GONE}
    if isinstance(raw, list):
        return [_without_gone(item) for item in cast("list[object]", raw) if item is not _GONE]
    return {} if raw is _GONE else raw
