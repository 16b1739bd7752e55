"""What is known before a run about a value's form: which fields it has.

Built from JSON Schemas (a tool's result, an llm's `schema`, inputs) and from constants. Where
nothing is known a shape is `Anything`, and nothing is complained about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from treadle.agents.values import JsonObject, JsonValue

MOST_HOPS = 20


@dataclass(frozen=True, slots=True)
class Anything:
    """Not known."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A value without fields; `what` names it for people: `a text`."""

    what: str


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with exactly these fields."""

    fields: Mapping[str, "Shape"]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several; a field of any is a field."""

    options: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Described:
    """What a JSON Schema says; `root` is where its `$ref`s start. Looked into only when asked."""

    schema: JsonValue
    root: JsonObject


Shape: TypeAlias = Anything | Plain | Fields | ListOf | OneOf | Described
ANYTHING = Anything()
TEXT = Plain("a text")
NULL = Plain("null")
_PLAIN = {"string": TEXT, "number": Plain("a number"), "integer": Plain("a whole number"),
          "boolean": Plain("true or false"), "null": NULL}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NoField:
    """A shape has no such field; `known` are those it has, `what` it is without any."""

    known: tuple[str, ...]
    what: str = "an object"


def field(shape: Shape, name: str) -> Shape | NoField:
    """The shape of a field."""
    match opened(shape):
        case Fields(fields):
            return fields[name] if name in fields else NoField(tuple(fields))
        case ListOf():
            return NoField((), "a list")
        case Plain(what):
            return NoField((), what)
        case OneOf(options):
            return _field_of_any(options, name)
        case Described() | Anything():
            return ANYTHING


def item(shape: Shape) -> Shape:
    """The shape of a list's elements."""
    match opened(shape):
        case ListOf(inner):
            return inner
        case OneOf(options):
            return either(item(option) for option in options if opened(option) != NULL)
        case _:
            return ANYTHING


def either(options: Iterable[Shape]) -> Shape:
    """One of these; `Anything` if one of them is, or if there are none."""
    found = tuple(options)
    if not found or any(isinstance(option, Anything) for option in found):
        return ANYTHING
    return found[0] if len(found) == 1 else OneOf(found)


def of_constant(value: JsonValue) -> Shape:
    """The shape of a value that is known."""
    match value:
        case dict():
            return Fields({key: of_constant(inner) for key, inner in value.items()})
        case list():
            return ListOf(ANYTHING)
        case str():
            return TEXT
        case None:
            return NULL
        case bool():
            return _PLAIN["boolean"]
        case _:
            return _PLAIN["number"]


def _field_of_any(options: tuple[Shape, ...], name: str) -> Shape | NoField:
    answers = [field(option, name) for option in options]
    found = [answer for answer in answers if not isinstance(answer, NoField)]
    if found:
        return either(found)
    missing = [answer for answer in answers if isinstance(answer, NoField)]
    known = tuple(dict.fromkeys(key for answer in missing for key in answer.known))
    return NoField(known, "an object" if known else missing[0].what)


def opened(shape: Shape) -> Shape:
    """A schema turned into fields, list or union, one level deep; other shapes as they are."""
    if not isinstance(shape, Described):
        return shape
    schema = _followed(shape)
    if schema is None or "allOf" in schema or "if" in schema:
        return ANYTHING
    for union in ("anyOf", "oneOf"):
        options = schema.get(union)
        if isinstance(options, list):
            described = [Described(option, shape.root) for option in options]
            return either(opened(option) for option in described)
    types = schema.get("type")
    if isinstance(types, list):
        return either(opened(Described({**schema, "type": one}, shape.root)) for one in types)
    return _opened_type(schema, types, shape.root)


def _opened_type(schema: JsonObject, kind: JsonValue, root: JsonObject) -> Shape:
    if isinstance(kind, str) and kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "array":
        return ListOf(Described(schema.get("items", True), root))
    properties = schema.get("properties")
    if not isinstance(properties, dict) or "patternProperties" in schema:
        return ANYTHING
    if not properties and schema.get("additionalProperties") is not False:
        return ANYTHING
    if schema.get("additionalProperties", False) is not False:
        return ANYTHING
    return Fields({name: Described(inner, root) for name, inner in properties.items()})


def _followed(shape: Described) -> "JsonObject | None":
    """The schema after its `$ref`s; `None` where it says nothing."""
    schema = shape.schema
    for _ in range(MOST_HOPS):
        if not isinstance(schema, dict):
            return None
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = pointed(shape.root, reference)
    return None


def pointed(root: JsonObject, reference: str) -> JsonValue:
    """What `#/schemas/x` means in a document; null where it leads nowhere."""
    found: JsonValue = root
    if reference != "#" and not reference.startswith("#/"):
        return None
    for step in reference[2:].split("/") if reference != "#" else []:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found
