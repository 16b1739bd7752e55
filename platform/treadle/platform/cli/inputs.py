"""`-i key=value` by a template's input schemas: text stays text, everything else is JSON."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import typer
from pydantic import JsonValue, TypeAdapter, ValidationError

Schemas = Mapping[str, Mapping[str, JsonValue]]
_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
Upload = Callable[[Path], str]
"""Uploads a file and returns its id."""


def parse_inputs(pairs: Sequence[str], schemas: Schemas, *, upload: Upload) -> dict[str, JsonValue]:
    """Read `key=value` pairs. A list may be JSON, commas, or the same key again and again.

    Raises:
        typer.BadParameter: A pair is not of this form, or its value not of the declared type.
    """
    values: dict[str, JsonValue] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not of the form key=value")
        value = _value(name, text, schemas.get(name, {}), upload)
        earlier = values.get(name)
        if isinstance(earlier, list) and isinstance(value, list):
            value = [*earlier, *value]
        values[name] = value
    return values


def _value(name: str, text: str, schema: Mapping[str, JsonValue], upload: Upload) -> JsonValue:
    types = _types(schema)
    if schema.get("format") == "file" and Path(text).is_file():
        return upload(Path(text))
    if "array" in types and not text.lstrip().startswith("["):
        return _elements(name, text, schema.get("items"))
    if "string" in types or not types:
        return _text_or_json(text, types)
    return _json(name, text, types)


def _types(schema: Mapping[str, JsonValue]) -> set[str]:
    declared = schema.get("type")
    if isinstance(declared, str):
        return {declared}
    return (
        {one for one in declared if isinstance(one, str)} if isinstance(declared, list) else set()
    )


def _elements(name: str, text: str, items: JsonValue) -> list[JsonValue]:
    """Split at commas; elements that are not text are JSON."""
    types = _types(items) if isinstance(items, dict) else {"string"}
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not types or "string" in types:
        return list[JsonValue](parts)
    return [_json(name, part, types) for part in parts]


def _text_or_json(text: str, types: set[str]) -> JsonValue:
    """Text where only text is allowed; where more is, JSON if it is JSON."""
    if types == {"string"}:
        return text
    try:
        return _JSON.validate_json(text)
    except ValidationError:
        return text


def _json(name: str, text: str, types: set[str]) -> JsonValue:
    try:
        return _JSON.validate_json(text)
    except ValidationError:
        wanted = " or ".join(sorted(types))
        raise typer.BadParameter(f"{name}: {text!r} is not JSON of type {wanted}") from None
