"""The fields of an approval's form: what a browser sends, as the values that a form declares."""

import json
from collections.abc import Mapping

from treadle.agents.nodes.inputs import Input
from treadle.agents.values import JsonObject, JsonValue

_TRUE = frozenset({"true", "on", "yes", "1"})


def read_form(declared: Mapping[str, Input], texts: Mapping[str, str]) -> JsonObject:
    """Values by the declared types; an empty field was not given. What is no value stays text."""
    form: JsonObject = {}
    for name, one in declared.items():
        text = texts.get(f"form.{name}", "")
        kind = one.schema.get("type")
        if kind == "boolean" and (not one.optional or text):
            form[name] = text.lower() in _TRUE
        elif text:
            form[name] = text if kind == "string" else _value(text, one.schema)
    return form


def _value(text: str, schema: JsonObject) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    choices = schema.get("enum")
    return text if isinstance(choices, list) and text in choices else value
