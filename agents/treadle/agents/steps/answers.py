"""Structured answers: what a model returned against the schema that was asked for."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from treadle.agents.errors import AgentsError
from treadle.agents.values import JsonObject, JsonValue

SHARED = "#/schemas/"
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
_LONGEST_MESSAGE = 500
_CUT = (
    "the answer was cut at its longest length before its JSON was whole (a shorter answer or a"
    " larger max_tokens is needed)"
)


class AnswerInvalid(AgentsError):
    """The answer is no JSON, or does not fit; the message is for people and for the model."""


class AnswerSchema:
    """A schema with the template's shared schemas brought in: complete in itself."""

    __slots__ = ("_validator", "schema")

    def __init__(self, schema: JsonObject, shared: Mapping[str, JsonObject]) -> None:
        self.schema = _self_contained(schema, shared)
        # An empty registry: a reference to elsewhere is never fetched.
        self._validator: Any = Draft202012Validator(  # Any: its own types are partial
            self.schema, registry=Registry()
        )

    def read(self, text: str, *, is_cut: bool = False) -> JsonValue:
        """The value in the answer; raises `AnswerInvalid`. A code fence around it is ignored.

        A cut answer is one only if its value is certainly whole: a number may lack digits.
        """
        fenced = _FENCE.fullmatch(text)
        try:
            value: JsonValue = json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
        except ValueError as error:
            raise AnswerInvalid(_CUT if is_cut else f"the answer is not JSON: {error}") from error
        if is_cut and type(value) in {int, float}:
            raise AnswerInvalid(_CUT)
        try:
            self._validator.validate(value)
        except ValidationError as problem:
            raise AnswerInvalid(_explained(problem)) from problem
        except Unresolvable as problem:
            raise AnswerInvalid(f"the schema refers to nothing known: {problem}") from problem
        return value


def _refuse(constant: str) -> JsonValue:
    raise ValueError(f"{constant} is no JSON")


def _explained(problem: ValidationError) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem.absolute_path)
    where = f"at {path.lstrip('.')}" if path else "at the top"
    return f"the answer does not fit its schema {where}: {problem.message[:_LONGEST_MESSAGE]}"


def _self_contained(schema: JsonObject, shared: Mapping[str, JsonObject]) -> JsonObject:
    """Bring the shared schemas that are used in as `$defs`; a bare reference takes its place."""
    if set(schema) == {"$ref"} and isinstance(schema["$ref"], str):
        name = schema["$ref"].removeprefix(SHARED)
        schema = shared.get(name, schema)
    used: dict[str, JsonObject] = {}
    waiting = list(_names_used(schema))
    while waiting:
        name = waiting.pop()
        if name in shared and name not in used:
            used[name] = shared[name]
            waiting += _names_used(shared[name])
    own = schema.get("$defs")
    definitions: dict[str, JsonValue] = dict(own) if isinstance(own, dict) else {}
    definitions |= {name: _rewritten(part) for name, part in used.items()}
    whole: JsonObject = {key: _rewritten_at(key, value) for key, value in schema.items()}
    if definitions:
        whole["$defs"] = definitions
    return whole


def _names_used(part: JsonValue) -> Iterator[str]:
    match part:
        case dict():
            reference = part.get("$ref")
            if isinstance(reference, str) and reference.startswith(SHARED):
                yield reference.removeprefix(SHARED)
            for value in part.values():
                yield from _names_used(value)
        case list():
            for value in part:
                yield from _names_used(value)
        case _:
            return


def _rewritten(part: JsonValue) -> JsonValue:
    match part:
        case dict():
            return {key: _rewritten_at(key, value) for key, value in part.items()}
        case list():
            return [_rewritten(value) for value in part]
        case _:
            return part


def _rewritten_at(key: str, value: JsonValue) -> JsonValue:
    if key == "$ref" and isinstance(value, str):
        return value.replace(SHARED, "#/$defs/", 1)
    return _rewritten(value)
