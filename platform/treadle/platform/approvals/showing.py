"""What an approval shows, as HTML that a person reads: rows, lists and tables instead of JSON."""

import json
from collections.abc import Sequence
from html import escape
from itertools import islice

from treadle.agents.values import JsonObject, JsonValue

_DEEPEST = 3
_LONG_TEXT = 160
_MOST_COLUMNS = 8
_MOST_ROWS = 200


def show_value(value: JsonValue) -> str:
    """A value of any kind; what is nested too deeply stays JSON."""
    return _shown(value, 0)


def label_of(name: str) -> str:
    """A key as a person would write it."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def text_of(value: JsonValue) -> str:
    """A value that is no list and no object, as the text of a form's field."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: JsonValue, depth: int) -> str:
    if value is None or value in ("", [], {}):
        return '<span class="none">nothing</span>'
    match value:
        case bool():
            return "Yes" if value else "No"
        case str():
            return _text(value)
        case int() | float():
            return escape(text_of(value))
        case _ if depth >= _DEEPEST:
            return f"<pre>{escape(json.dumps(value, ensure_ascii=False, indent=2))}</pre>"
        case dict():
            return f"<dl>{''.join(_row(key, one, depth) for key, one in value.items())}</dl>"
        case list():
            return _list(value, depth)


def _text(value: str) -> str:
    if len(value) <= _LONG_TEXT and "\n" not in value:
        return escape(value)
    return f'<div class="long" tabindex="0">{escape(value.strip())}</div>'


def _row(key: str, value: JsonValue, depth: int) -> str:
    shown = _shown(value, depth + 1)
    above, below = (' class="above"', ' class="below"') if _is_wide(value) else ("", "")
    return f"<dt{above}>{escape(label_of(key))}</dt><dd{below}>{shown}</dd>"


def _is_wide(value: JsonValue) -> bool:
    if isinstance(value, str):
        return len(value) > _LONG_TEXT or "\n" in value
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _list(values: Sequence[JsonValue], depth: int) -> str:
    columns = _columns(values)
    if columns:
        return _table(values, columns)
    items = "".join(f"<li>{_shown(one, depth + 1)}</li>" for one in values[:_MOST_ROWS])
    return f"<ul>{items}</ul>{_rest(values)}"


def _columns(values: Sequence[JsonValue]) -> list[str]:
    """The columns of a list whose objects are all alike and flat; none if they are not."""
    rows = [one for one in values if isinstance(one, dict)]
    if len(rows) < len(values):
        return []
    names = list(dict.fromkeys(name for row in rows for name in row))
    is_flat = all(not isinstance(one, dict | list) for row in rows for one in row.values())
    return names if is_flat and len(names) <= _MOST_COLUMNS else []


def _table(values: Sequence[JsonValue], columns: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{escape(label_of(name))}</th>' for name in columns)
    rows: list[JsonObject] = [one for one in islice(values, _MOST_ROWS) if isinstance(one, dict)]
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row, name)}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{_rest(values)}"
    )


def _cell(row: JsonObject, name: str) -> str:
    value = row.get(name)
    return "" if value is None else _shown(value, 0)


def _rest(values: Sequence[JsonValue]) -> str:
    more = len(values) - _MOST_ROWS
    return f'<p class="none">and {more} more, in the run</p>' if more > 0 else ""
