"""JSON values: all that flows between nodes."""

from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"

_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}


def type_name(value: object) -> str:
    """How messages call a value's type: `a text`, `null`."""
    return _NAMES.get(type(value), type(value).__name__)
