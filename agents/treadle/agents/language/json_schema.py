"""JSON Schema 2020-12 as templates use it: `$ref` to `#/schemas/x`, bounded, in plain words.

`$ref` is followed by us and nothing is ever fetched. The work of one check is bounded, because a
schema can be written to take for ever.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sized
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias, cast

from jsonschema import Draft202012Validator, ValidationError, validators

from treadle.agents.language.formats import fits_format
from treadle.agents.language.patterns import WrongPattern, is_found
from treadle.agents.language.shapes import pointed
from treadle.agents.nodes.fields import Path
from treadle.agents.values import JsonObject, JsonValue

BASE_WORK = 50_000  # keywords tried for one value, a sixth of a second or so
WORK_PER_PART = 50  # and for each part of it more: large inputs are honest work
CHECKED_PER_PART = 5  # the same for values in a template, which are small if they are honest
MAX_ERRORS = 50


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that does not fit, in words; `path` leads to it."""

    path: Path
    message: str


class _Validator(Protocol):
    def iter_errors(self, instance: JsonValue) -> Iterator[ValidationError]: ...

    def descend(self, instance: JsonValue, schema: JsonValue) -> Iterator[ValidationError]: ...


_extend = cast(  # the library has no types for it
    "Callable[[object, Mapping[str, object]], Callable[[JsonObject], _Validator]]",
    validators.extend,  # pyright: ignore[reportUnknownMemberType] # as above
)


_Keyword: TypeAlias = Callable[
    [_Validator, Any, Any, JsonObject], Iterator[ValidationError] | None
]  # Any: the schema's own value for the keyword
_KEYWORDS = cast("Mapping[str, _Keyword]", Draft202012Validator.VALIDATORS)  # untyped there


class _Fuel:
    def __init__(self, amount: int) -> None:
        self.left = amount

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise _TooMuch


class _TooMuch(Exception):
    """The schema asks for too much work."""


def misfits(
    value: JsonValue,
    schema: JsonObject,
    schemas: JsonObject,
    *,
    work_per_part: int = WORK_PER_PART,
) -> list[Misfit]:
    """How a value does not fit a schema, whose `#/schemas/x` mean `schemas`; empty when it fits."""
    if _fits_plainly(value, schema):
        return []
    root: JsonObject = {**schema, "schemas": schemas}
    check = _check.set(_Check(root, _Fuel(BASE_WORK + work_per_part * _size(value))))
    try:
        found = _validators()(root).iter_errors(value)
        return [_in_words(error) for _, error in zip(range(MAX_ERRORS), found, strict=False)]
    except (_TooMuch, RecursionError):
        return [Misfit((), "the schema asks for too much work to be checked")]
    except WrongPattern as error:
        return [Misfit((), str(error))]
    finally:
        _check.reset(check)


_REMARKS = frozenset({"type", "title", "description", "default", "examples"})
_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "number": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def _fits_plainly(value: JsonValue, schema: JsonObject) -> bool:
    """Whether a schema asks for nothing but a type, and the value has it; else look closer."""
    kind = schema.get("type")
    if not isinstance(kind, str) or not schema.keys() <= _REMARKS:
        return False
    return type(value) is _TYPES.get(kind)


def metaschema_faults(schema: JsonValue) -> list[Misfit]:
    """How a schema is not JSON Schema 2020-12."""
    meta = _metaschema()
    return [_in_words(error) for _, error in zip(range(10), meta.iter_errors(schema), strict=False)]


@cache
def _metaschema() -> _Validator:
    return _extend(Draft202012Validator, {})(Draft202012Validator.META_SCHEMA)


def _size(value: JsonValue) -> int:
    match value:
        case dict():
            return 1 + sum(map(_size, value.values()))
        case list():
            return 1 + sum(map(_size, value))
        case _:
            return 1


@dataclass(slots=True)
class _Check:
    """One check under way: what `$ref` means in it, and what work is left."""

    root: JsonObject
    fuel: _Fuel


_check: ContextVar[_Check] = ContextVar("check")


def _follow(
    validator: _Validator, reference: str, instance: JsonValue, schema: JsonObject
) -> Iterator[ValidationError]:
    target = pointed(_check.get().root, reference)
    if isinstance(target, dict | bool):
        yield from validator.descend(instance, target)


def _counted(keyword: _Keyword) -> _Keyword:
    """The same keyword; each use costs as much as it has parts."""

    def run(
        validator: _Validator, rule: Any, instance: JsonValue, schema: JsonObject
    ) -> Iterator[ValidationError]:  # Any: the schema's own value for the keyword
        parts = cast("list[object]", rule) if isinstance(rule, list | dict) else []
        _check.get().fuel.spend(1 + len(parts))
        yield from keyword(validator, rule, instance, schema) or ()

    return run


@cache
def _validators() -> Callable[[JsonObject], _Validator]:
    """The class of our validators; making it takes milliseconds, so there is one."""
    own: dict[str, _Keyword] = {
        "$ref": _follow, "pattern": _pattern, "format": _format, "uniqueItems": _unique,
    }  # fmt: skip
    keywords = {**_KEYWORDS, **own}
    counted = {name: _counted(keyword) for name, keyword in keywords.items()}
    return _extend(Draft202012Validator, counted)


def _pattern(
    validator: _Validator, pattern: str, instance: JsonValue, schema: JsonObject
) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not is_found(pattern, instance):
        yield ValidationError(f"{_short(instance)} does not match {pattern}")


def _format(
    validator: _Validator, name: str, instance: JsonValue, schema: JsonObject
) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not fits_format(name, instance):
        yield ValidationError(f"{_short(instance)} is no {name}")


def _unique(
    validator: _Validator, is_wanted: bool, instance: JsonValue, schema: JsonObject
) -> Iterator[ValidationError]:
    if not is_wanted or not isinstance(instance, list):
        return
    seen = {json.dumps(item, sort_keys=True) for item in instance}
    if len(seen) < len(instance):
        yield ValidationError("has the same entry twice")


_TYPE_WORDS = {"string": "a text", "integer": "a whole number", "number": "a number",
               "boolean": "true or false", "array": "a list", "object": "a mapping",
               "null": "null"}  # fmt: skip
_BOUNDS = {"minItems": "needs at least {} entries", "maxItems": "has at most {} entries",
           "minLength": "needs at least {} characters", "maxLength": "has at most {} characters",
           "minimum": "must be at least {}", "maximum": "must be at most {}",
           "exclusiveMinimum": "must be more than {}", "exclusiveMaximum": "must be less than {}",
           "multipleOf": "must be a multiple of {}", "minProperties": "needs at least {} fields",
           "maxProperties": "has at most {} fields"}  # fmt: skip


def _in_words(error: ValidationError) -> Misfit:
    path: Path = tuple(error.absolute_path)
    rule: Any = error.validator_value  # Any: the schema's own value for the keyword
    instance: Any = error.instance  # Any: the value, or a part of it
    match error.validator:
        case "type":
            kinds: list[str] = [rule] if isinstance(rule, str) else rule
            wanted = " or ".join(_TYPE_WORDS.get(kind, kind) for kind in kinds)
            return Misfit(path, f"expected {wanted}, found {_short(instance)}")
        case "enum":
            return Misfit(path, f"expected one of {_short(rule)}, found {_short(instance)}")
        case "const":
            return Misfit(path, f"expected {_short(rule)}, found {_short(instance)}")
        case "required":
            return Misfit(path, _missing(rule, instance))
        case "anyOf" | "oneOf":
            return Misfit(path, f"{_short(instance)} fits none of the allowed forms")
        case str() as keyword if keyword in _BOUNDS:
            return Misfit(path, f"{_BOUNDS[keyword].format(rule)}{_number_found(instance)}")
        case _:
            return Misfit(path, error.message[:200])


def _number_found(instance: object) -> str:
    """How many there are instead, where entries, characters or fields are counted."""
    return f", found {len(instance)}" if isinstance(instance, Sized) else ""


def wanted(schema: Mapping[str, JsonValue]) -> str | None:
    """What a value has to be, in words; `None` where the schema names no single type."""
    kind = schema.get("type")
    return _TYPE_WORDS.get(kind) if isinstance(kind, str) else None


def _missing(required: list[str], instance: Mapping[str, JsonValue]) -> str:
    missing = [f"`{name}`" for name in required if name not in instance]
    return f"missing {', '.join(missing)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"
