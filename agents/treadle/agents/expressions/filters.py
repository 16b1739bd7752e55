"""The closed list of filters. A filter takes the frame, the value and its arguments.

Its Python signature is its contract: arguments are checked against it when a template is loaded.
"""

from collections.abc import Callable
from typing import TypeAlias

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions.frame import Frame
from treadle.agents.expressions.semantics import (
    checked,
    dump,
    equal,
    fields,
    identity,
    items,
    less,
    number,
    render,
    text,
    type_name,
)
from treadle.agents.expressions.text_filters import TEXT_FILTERS
from treadle.agents.values import JsonValue

Filter: TypeAlias = Callable[..., JsonValue]


def length(frame: Frame, value: JsonValue) -> int:
    """Characters of a string, elements of a list, fields of an object."""
    if isinstance(value, str | list | dict):
        return len(value)
    raise ExpressionError(f"`length` needs a string, list or object, found {type_name(value)}")


def pick(frame: Frame, item: JsonValue, field: str, *, what: str) -> JsonValue:
    """A field of a list's element, dotted for nested ones; raises if it is missing."""
    for name in field.split("."):
        if not isinstance(item, dict) or name not in item:
            raise ExpressionError(f"{what}: an element ({type_name(item)}) has no field {name!r}")
        item = item[name]
    frame.charge(1)
    return item


def map_field(frame: Frame, value: JsonValue, field: JsonValue, *fallback: JsonValue) -> JsonValue:
    """One field of every element; `map(field, fallback)` where some lack it."""
    name = text(field, what="the field of `map`")
    elements = items(value, what="`map`")
    frame.charge_list(len(elements))
    if not fallback:
        return [pick(frame, element, name, what="`map`") for element in elements]
    found = [_try_pick(frame, element, name) for element in elements]
    return [fallback[0] if item is None else item for item in found]


def _try_pick(frame: Frame, item: JsonValue, field: str) -> JsonValue:
    for name in field.split("."):
        if not isinstance(item, dict):
            return None
        item = item.get(name)
    frame.charge(1)
    return item


def where(frame: Frame, value: JsonValue, field: JsonValue, *wanted: JsonValue) -> JsonValue:
    """Elements whose field equals a value, or is truthy without one."""
    name = text(field, what="the field of `where`")
    elements = items(value, what="`where`")
    frame.charge_list(len(elements))
    if not wanted:
        return [element for element in elements if _try_pick(frame, element, name)]
    return [e for e in elements if equal(frame, _try_pick(frame, e, name), wanted[0])]


def sort(
    frame: Frame, value: JsonValue, field: JsonValue = None, reverse: JsonValue = False
) -> JsonValue:
    """In order, stable; by a field; numbers or strings, nulls last."""
    elements = items(value, what="`sort`")
    frame.charge_list(len(elements))
    frame.charge(len(elements) * max(1, len(elements).bit_length()))
    name = None if field is None else text(field, what="the field of `sort`")
    keyed = [(e if name is None else _try_pick(frame, e, name), e) for e in elements]
    known = [(key, element) for key, element in keyed if key is not None]
    _require_one_order([key for key, _ in known], what="`sort`")
    known.sort(key=_order_key, reverse=bool(reverse))
    return [element for _, element in known] + [e for key, e in keyed if key is None]


def _order_key(pair: tuple[JsonValue, JsonValue]) -> tuple[float, str]:
    key = pair[0]
    return (0.0, key) if isinstance(key, str) else (number(key, what="`sort`"), "")


def _require_one_order(keys: list[JsonValue], *, what: str) -> None:
    kinds = {type_name(key) for key in keys}
    if not (kinds <= {"number"} or kinds <= {"string"}):
        raise ExpressionError(f"{what} needs all numbers or all strings, found {sorted(kinds)}")


def _extreme(frame: Frame, value: JsonValue, field: JsonValue, *, largest: bool) -> JsonValue:
    what = "`max`" if largest else "`min`"
    elements = items(value, what=what)
    frame.charge_list(len(elements))
    name = None if field is None else text(field, what=f"the field of {what}")
    keyed = [(e if name is None else _try_pick(frame, e, name), e) for e in elements]
    known = [(key, element) for key, element in keyed if key is not None]
    _require_one_order([key for key, _ in known], what=what)
    best: tuple[JsonValue, JsonValue] | None = None
    for pair in known:
        if best is None or less(frame, *((best[0], pair[0]) if largest else (pair[0], best[0]))):
            best = pair
    return None if best is None else best[1]


def smallest(frame: Frame, value: JsonValue, field: JsonValue = None) -> JsonValue:
    """The least element, by a field if given; null for an empty list."""
    return _extreme(frame, value, field, largest=False)


def largest(frame: Frame, value: JsonValue, field: JsonValue = None) -> JsonValue:
    """The greatest element, by a field if given; null for an empty list."""
    return _extreme(frame, value, field, largest=True)


def first(frame: Frame, value: JsonValue) -> JsonValue:
    """The first element or character; null if there is none."""
    if isinstance(value, str | list):
        return value[0] if value else None
    raise ExpressionError(f"`first` needs a list or string, found {type_name(value)}")


def last(frame: Frame, value: JsonValue) -> JsonValue:
    """The last element or character; null if there is none."""
    if isinstance(value, str | list):
        return value[-1] if value else None
    raise ExpressionError(f"`last` needs a list or string, found {type_name(value)}")


def unique(frame: Frame, value: JsonValue) -> JsonValue:
    """Each element once, the first of equals kept."""
    elements = items(value, what="`unique`")
    frame.charge_list(len(elements))
    return list({identity(frame, element): element for element in reversed(elements)}.values())[
        ::-1
    ]


def group(frame: Frame, value: JsonValue, field: JsonValue) -> JsonValue:
    """A list of `{key, items}`, one per value of the field, in order of appearance."""
    name = text(field, what="the field of `group`")
    elements = items(value, what="`group`")
    frame.charge_list(len(elements))
    groups: dict[object, tuple[JsonValue, list[JsonValue]]] = {}
    for element in elements:
        key = _try_pick(frame, element, name)
        groups.setdefault(identity(frame, key), (key, []))[1].append(element)
    return [{"key": key, "items": members} for key, members in groups.values()]


def total(frame: Frame, value: JsonValue, field: JsonValue = None) -> JsonValue:
    """The sum of a list of numbers, or of one field of its elements."""
    elements = items(value, what="`sum`")
    frame.charge_list(len(elements))
    if field is not None:
        name = text(field, what="the field of `sum`")
        elements = [pick(frame, element, name, what="`sum`") for element in elements]
    return checked(sum(number(element, what="`sum`") for element in elements))


def absolute(frame: Frame, value: JsonValue) -> JsonValue:
    """The number without its sign."""
    return checked(abs(number(value, what="`abs`")))


def rounded(frame: Frame, value: JsonValue, digits: JsonValue = 0) -> JsonValue:
    """To so many digits after the point; a whole number without any."""
    places = number(digits, what="the digits of `round`")
    if not isinstance(places, int) or not -15 <= places <= 15:
        raise ExpressionError("the digits of `round` must be a whole number from -15 to 15")
    result = round(number(value, what="`round`"), places)
    return checked(int(result) if places <= 0 else result)


def integer(frame: Frame, value: JsonValue, *fallback: JsonValue) -> JsonValue:
    """A whole number from a number or its text; `int(fallback)` where it is none."""
    return _convert(frame, value, fallback, to=int)


def decimal(frame: Frame, value: JsonValue, *fallback: JsonValue) -> JsonValue:
    """A number from a number or its text; `float(fallback)` where it is none."""
    return _convert(frame, value, fallback, to=float)


def _convert(
    frame: Frame,
    value: JsonValue,
    fallback: tuple[JsonValue, ...],
    *,
    to: Callable[[str | float], int | float],
) -> JsonValue:
    if isinstance(value, str):
        frame.charge_text(len(value))
    if isinstance(value, str | int | float) and not (isinstance(value, str) and len(value) > 400):
        try:
            return checked(to(value))
        except ValueError:
            pass
    if fallback:
        return fallback[0]
    raise ExpressionError(
        f"cannot read {type_name(value)} {render(frame, value)[:60]!r} as a number"
    )


def to_string(frame: Frame, value: JsonValue) -> JsonValue:
    """The value as it would stand in text."""
    return render(frame, value)


def to_list(frame: Frame, value: JsonValue) -> JsonValue:
    """A list stays; the characters of a string; the keys of an object."""
    if not isinstance(value, str | list | dict):
        raise ExpressionError(f"`list` needs a list, string or object, found {type_name(value)}")
    frame.charge_list(len(value))
    return list(value)


def keys(frame: Frame, value: JsonValue) -> JsonValue:
    """The keys of an object, in order."""
    found = fields(value, what="`keys`")
    frame.charge_list(len(found))
    return list(found)


def values(frame: Frame, value: JsonValue) -> JsonValue:
    """The values of an object, in order."""
    found = fields(value, what="`values`")
    frame.charge_list(len(found))
    return list(found.values())


def pairs(frame: Frame, value: JsonValue) -> JsonValue:
    """The fields of an object as `[key, value]` pairs."""
    found = fields(value, what="`items`")
    frame.charge_list(2 * len(found))
    return [[key, item] for key, item in found.items()]


def merge(frame: Frame, value: JsonValue, other: JsonValue) -> JsonValue:
    """Both objects' fields; the second wins."""
    merged = {**fields(value, what="`merge`"), **fields(other, what="the argument of `merge`")}
    frame.charge_list(len(merged))
    return merged


def flatten(frame: Frame, value: JsonValue) -> JsonValue:
    """A list of lists as one list, one level deep."""
    elements = items(value, what="`flatten`")
    count = sum(len(e) if isinstance(e, list) else 1 for e in elements)
    frame.charge_list(count)
    return [inner for e in elements for inner in (e if isinstance(e, list) else [e])]


def to_json(frame: Frame, value: JsonValue, indent: JsonValue = None) -> JsonValue:
    """JSON text, compact or indented by up to 8."""
    if indent is not None and (not isinstance(indent, int) or not 0 <= indent <= 8):
        raise ExpressionError("the indent of `tojson` must be a whole number from 0 to 8")
    return dump(frame, value, indent=indent)


def joined(
    frame: Frame, value: JsonValue, separator: JsonValue = "", field: JsonValue = None
) -> JsonValue:
    """The elements as text with a separator between; of one field if given."""
    elements = items(value, what="`join`")
    between = text(separator, what="the separator of `join`")
    frame.charge(len(elements))
    if field is not None:
        name = text(field, what="the field of `join`")
        elements = [pick(frame, element, name, what="`join`") for element in elements]
    rendered = [render(frame, element) for element in elements]
    frame.charge_text(sum(map(len, rendered)) + len(between) * max(0, len(rendered) - 1))
    return between.join(rendered)


FILTERS: dict[str, Filter] = {
    "length": length, "count": length, "map": map_field, "where": where, "sort": sort,
    "first": first, "last": last, "unique": unique, "group": group, "sum": total,
    "abs": absolute, "round": rounded, "int": integer, "float": decimal, "string": to_string,
    "list": to_list, "keys": keys, "values": values, "items": pairs, "merge": merge,
    "flatten": flatten, "min": smallest, "max": largest, "tojson": to_json, "join": joined,
    **TEXT_FILTERS,
}  # fmt: skip
"""`default` is not here: it must see what is undefined, so the compiler knows it."""
