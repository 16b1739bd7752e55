"""What is known before a run about a value's form: which fields it has.

Built from JSON Schemas (a tool's result, an llm's `schema`, inputs) and from constants. Where
nothing is known a shape is `Anything`, and nothing is complained about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from treadle.agents.values import JsonObject, JsonValue

MOST_HOPS = 20
MOST_OPTIONS = 8
MOST_UNIONS = 3  # schemas can hold unions of unions without end


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
    """One of these; `Anything` if one of them is, if there are none, or if there are too many."""
    found: dict[int, Shape] = {}
    for option in options:
        inner = option.options if isinstance(option, OneOf) else (option,)
        found |= {id(shape): shape for shape in inner}
    distinct = tuple(found.values())
    is_unknown = any(isinstance(option, Anything) for option in distinct)
    if not distinct or is_unknown or len(distinct) > MOST_OPTIONS:
        return ANYTHING
    return distinct[0] if len(distinct) == 1 else OneOf(distinct)


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


def opened(shape: Shape, unions: int = 0) -> Shape:
    """A schema turned into fields, list or union, one level deep; other shapes as they are."""
    if not isinstance(shape, Described):
        return shape
    schema = followed(shape)
    if schema is None or "allOf" in schema or "if" in schema or unions > MOST_UNIONS:
        return ANYTHING
    types = schema.get("type")
    options = schema.get("anyOf", schema.get("oneOf"))
    if options is None and isinstance(types, list):
        options = [{**schema, "type": one} for one in types[: MOST_OPTIONS + 1]]
    if not isinstance(options, list):
        return _opened_type(schema, types, shape.root)
    if len(options) > MOST_OPTIONS:
        return ANYTHING
    return either(opened(Described(option, shape.root), unions + 1) for option in options)


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


def followed(shape: Described) -> "JsonObject | None":
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
