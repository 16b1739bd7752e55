"""Schemas for grammars: an object that lists its properties gets those and no invented ones.

JSON Schema allows further properties unless it is told otherwise. A small model that has written
all that was asked for then goes on inventing keys and texts until its tokens are spent, and what
is cut is no JSON. A narrower grammar's answers are still valid for the client's schema.
"""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

# What joins several schemas for one value, or negates one: closing a part may leave nothing, or
# allow what the whole forbids.
_JOINING = frozenset(
    {
        "allOf",
        "oneOf",
        "not",
        "if",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "extends",
        "$dynamicRef",
        "$recursiveRef",
    }
)
_OPENING = frozenset(
    {"additionalProperties", "patternProperties", "minProperties", "enum", "const"}
)
_BESIDE = frozenset(
    {"properties", "required", "items", "prefixItems", "additionalProperties", "patternProperties"}
)
_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_LISTED = frozenset({"anyOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties"})


def closed(schema: JsonValue) -> JsonValue:
    """The schema with its plain objects closed; as it is where parts of it are joined."""
    return schema if any(map(_joins, _schemas(schema))) else _closed(schema)


def _closed(schema: JsonValue) -> JsonValue:
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed_at(key, value) for key, value in schema.items()}
    return found | {"additionalProperties": False} if _is_plain(schema) else found


def _closed_at(key: str, value: JsonValue) -> JsonValue:
    if key in _BY_NAME and isinstance(value, dict):
        return {name: _closed(part) for name, part in value.items()}
    if key in _LISTED and isinstance(value, list):
        return [_closed(part) for part in value]
    return _closed(value) if key in _SINGLE else value


def _is_plain(schema: Mapping[str, JsonValue]) -> bool:
    """It lists properties, all that it requires among them, and says nothing of others."""
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict) or not properties or _OPENING & schema.keys():
        return False
    return isinstance(required, list) and all(name in properties for name in required)


def _joins(schema: Mapping[str, JsonValue]) -> bool:
    if _JOINING & schema.keys():
        return True
    return bool({"$ref", "anyOf"} & schema.keys()) and (
        bool(_BESIDE & schema.keys()) or {"$ref", "anyOf"} <= schema.keys()
    )


def _schemas(schema: JsonValue) -> Iterator[Mapping[str, JsonValue]]:
    """The schema and all within it, apart from values that only look like one."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key, value in schema.items():
        parts: list[JsonValue] = []
        if key in _BY_NAME and isinstance(value, dict):
            parts = [*value.values()]
        elif key in _LISTED and isinstance(value, list):
            parts = value
        elif key in _SINGLE:
            parts = [value]
        for part in parts:
            yield from _schemas(part)
