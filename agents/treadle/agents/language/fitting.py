"""Types along references: what surely does not fit where it goes.

Only what is sure is reported: where anything is unknown, or one of several forms fits, nothing is
said, and the tool's own check decides when the step runs.
"""

from collections.abc import Iterator, Mapping

from treadle.agents.language import shapes
from treadle.agents.language.outputs import value_shape
from treadle.agents.language.scope import Scope
from treadle.agents.language.shapes import (
    NULL,
    Anything,
    Described,
    Fields,
    ListOf,
    OneOf,
    Plain,
    Shape,
)
from treadle.agents.nodes.fields import Value
from treadle.agents.values import JsonObject
from treadle.integrations.registry import AnyTool

DEEPEST = 6
_NUMBERS = frozenset({"a number", "a whole number", "true or false"})


def misfitting_arguments(
    tool: AnyTool, arguments: Mapping[str, Value], scope: Scope
) -> Iterator[tuple[str, str]]:
    """The arguments whose declared type cannot take what they refer to, each with why."""
    parameters = scope.world.parameters_of(tool)
    properties = parameters.get("properties")
    for name, value in arguments.items():
        schema = properties.get(name) if isinstance(properties, dict) else None
        if schema is None or value.is_constant:
            continue
        why = misfit(value_shape(scope, value), Described(schema, parameters))
        if why is not None:
            yield name, why


def misfit(found: Shape, wanted: Shape, depth: int = 0) -> str | None:
    """Why a value of one shape can never be where the other is wanted; `None` if it may."""
    found, schema, wanted = shapes.opened(found), _schema(wanted), shapes.opened(wanted)
    if depth > DEEPEST or isinstance(found, Anything):
        return None
    if isinstance(wanted, Anything):
        is_open_mapping = schema.get("type") == "object"
        is_other = is_open_mapping and isinstance(found, Plain | ListOf)
        return _difference(found, Fields({})) if is_other else None
    if isinstance(found, OneOf):
        return _common(misfit(option, wanted, depth) for option in found.options)
    if isinstance(wanted, OneOf):
        reasons = [misfit(found, option, depth) for option in wanted.options]
        return None if None in reasons else _difference(found, wanted)
    match found, wanted:
        case ListOf(one), ListOf(other):
            why = misfit(one, other, depth + 1)
            return why and f"in its items: {why}"
        case Fields(), Fields():
            return _misfit_of_fields(found, wanted, schema, depth)
        case Plain(one), Plain(other):
            is_fine = one == other or {one, other} <= _NUMBERS
            return None if is_fine else _difference(found, wanted)
        case _:
            return _difference(found, wanted)


def is_surely_no_list(shape: Shape) -> bool:
    """Whether a value of this shape is never a list."""
    return misfit(shape, ListOf(shapes.ANYTHING)) is not None


def _misfit_of_fields(found: Fields, wanted: Fields, schema: JsonObject, depth: int) -> str | None:
    required = schema.get("required")
    for name in required if isinstance(required, list) else []:
        if name not in found.fields:
            return f"it has no field `{name}`, which is needed"
    for name, shape in found.fields.items():
        if name not in wanted.fields:
            if schema.get("additionalProperties") is False:
                return f"its field `{name}` is not taken"
            continue
        why = misfit(shape, wanted.fields[name], depth + 1)
        if why is not None:
            return f"in `{name}`: {why}"
    return None


def _common(reasons: Iterator[str | None]) -> str | None:
    """The first reason if every option has one; null counts as an option that something fits."""
    found = list(reasons)
    return None if None in found else found[0]


def _difference(found: Shape, wanted: Shape) -> str:
    return f"takes {described(wanted)}, found {described(found)}"


def described(shape: Shape) -> str:
    """A shape in words."""
    match shapes.opened(shape):
        case Plain(what):
            return what
        case ListOf():
            return "a list"
        case Fields():
            return "a mapping"
        case OneOf(options):
            names = dict.fromkeys(described(option) for option in options if option != NULL)
            return " or ".join(names)
        case _:
            return "a value"


def _schema(shape: Shape) -> JsonObject:
    """What a schema says beside its type."""
    followed = shapes.followed(shape) if isinstance(shape, Described) else None
    return followed or {}
