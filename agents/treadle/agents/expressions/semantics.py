"""What operators mean on JSON values: types are never mixed silently, booleans are no numbers."""

import json
import math

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import limits
from treadle.agents.expressions.frame import Frame, LimitExceeded
from treadle.agents.values import JsonValue


def type_name(value: JsonValue) -> str:
    """The JSON word for a value's type, as messages use it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case dict():
            return "object"


def number(value: JsonValue, *, what: str) -> int | float:
    """The value as a number; raises naming the operator and the type found."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    hint = "; join text with `~`" if isinstance(value, str) else ""
    raise ExpressionError(f"{what} needs numbers, found {type_name(value)}{hint}")


def text(value: JsonValue, *, what: str) -> str:
    """The value as a string; raises naming the filter and the type found."""
    if isinstance(value, str):
        return value
    raise ExpressionError(f"{what} needs a string, found {type_name(value)}")


def items(value: JsonValue, *, what: str) -> list[JsonValue]:
    """The value as a list; raises naming the filter and the type found."""
    if isinstance(value, list):
        return value
    raise ExpressionError(f"{what} needs a list, found {type_name(value)}")


def fields(value: JsonValue, *, what: str) -> dict[str, JsonValue]:
    """The value as an object; raises naming the filter and the type found."""
    if isinstance(value, dict):
        return value
    raise ExpressionError(f"{what} needs an object, found {type_name(value)}")


def checked(result: float) -> int | float:
    """A computed number, if JSON and 64 bits can hold it."""
    if isinstance(result, int):
        if abs(result) > limits.MAX_INT:
            raise LimitExceeded("a whole number would need more than 64 bits")
    elif not math.isfinite(result):
        raise LimitExceeded("the result is not a finite number")
    return result


def render(frame: Frame, value: JsonValue) -> str:
    """A value inside text: null is empty, booleans are words, containers are compact JSON."""
    match value:
        case str():
            frame.charge(1 + len(value) // limits.CHARACTERS_PER_FUEL)
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            return dump(frame, value)


def dump(frame: Frame, value: JsonValue, *, indent: int | None = None) -> str:
    """Compact JSON, or indented."""
    frame.charge_deep(value)
    separators = (",", ":") if indent is None else (",", ": ")
    made = json.dumps(
        value, ensure_ascii=False, separators=separators, indent=indent, allow_nan=False
    )
    if len(made) > limits.MAX_STRING:
        raise LimitExceeded(f"a text would be longer than {limits.MAX_STRING:,} characters")
    return made


def equal(frame: Frame, left: JsonValue, right: JsonValue) -> bool:
    """JSON equality: `1 == 1.0`, but `true != 1`; containers by content."""
    if isinstance(left, list | dict) and isinstance(right, list | dict):
        frame.charge_deep(left)
        return _deep_equal(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        frame.charge(1 + min(len(left), len(right)) // limits.CHARACTERS_PER_FUEL)
    return left == right


def _deep_equal(left: JsonValue, right: JsonValue) -> bool:
    pairs: list[tuple[JsonValue, JsonValue]] = [(left, right)]
    while pairs:
        match pairs.pop():
            case (list() as a, list() as b):
                if len(a) != len(b):
                    return False
                pairs.extend(zip(a, b, strict=True))
            case (dict() as a, dict() as b):
                if a.keys() != b.keys():
                    return False
                pairs.extend((a[key], b[key]) for key in a)
            case (a, b):
                if isinstance(a, bool) != isinstance(b, bool) or a != b:
                    return False
    return True


def less(frame: Frame, left: JsonValue, right: JsonValue) -> bool:
    """Order of two numbers or two strings; anything else is an error."""
    if isinstance(left, str) and isinstance(right, str):
        frame.charge(1 + min(len(left), len(right)) // limits.CHARACTERS_PER_FUEL)
        return left < right
    if isinstance(left, str) or isinstance(right, str):
        raise ExpressionError(f"cannot order {type_name(left)} and {type_name(right)}")
    return number(left, what="an order comparison") < number(right, what="an order comparison")


def contains(frame: Frame, container: JsonValue, item: JsonValue) -> bool:
    """`item in container`: part of a string, element of a list, key of an object."""
    match container:
        case str():
            frame.charge_text(len(container))
            return text(item, what="`in` on a string") in container
        case list():
            return any(_same(frame, element, item) for element in container)
        case dict():
            return isinstance(item, str) and item in container
        case _:
            raise ExpressionError(
                f"`in` needs a string, list or object, found {type_name(container)}"
            )


def _same(frame: Frame, element: JsonValue, item: JsonValue) -> bool:
    frame.charge(1)
    return equal(frame, element, item)


def identity(frame: Frame, value: JsonValue) -> str | int | float | bool | tuple[str, str] | None:
    """A hashable stand-in that is equal exactly when the values are (`unique`, `group`)."""
    match value:
        case bool():
            return ("bool", str(value))
        case list() | dict():
            frame.charge_deep(value)
            return ("json", json.dumps(value, sort_keys=True, ensure_ascii=False))
        case str():
            frame.charge(1 + len(value) // limits.CHARACTERS_PER_FUEL)
            return value
        case _:
            return value
