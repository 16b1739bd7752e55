"""Reading foreign JSON without trusting its shape: what is not as expected is empty."""

from treadle.agents.values import JsonObject, JsonValue


def mapping(value: JsonValue) -> JsonObject:
    """An object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: JsonValue) -> list[JsonValue]:
    """A list, else an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: JsonValue) -> list[JsonObject]:
    """The objects of a list."""
    return [one for one in listed(value) if isinstance(one, dict)]


def string(value: JsonValue) -> str:
    """A text, else an empty one."""
    return value if isinstance(value, str) else ""
