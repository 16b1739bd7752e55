"""What pydantic finds wrong with the shape of a part, in the words of the language."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from pydantic_core import ErrorDetails

from treadle.agents.language.findings import did_you_mean_or
from treadle.agents.nodes.base import Part
from treadle.agents.nodes.fields import Fault, Path
from treadle.agents.values import JsonValue

At: TypeAlias = Literal["value", "key", "holder"]


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong.

    Attributes:
        path: From the part.
        at: Whether the value, its key, or the mapping that lacks it is shown.
        offset: Position in the string at `path`, for expressions.
        is_expression: Whether a wrong expression stands at `path`.
    """

    path: Path
    message: str
    hint: str | None = None
    at: At = "value"
    offset: int | None = None
    is_expression: bool = False


_TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_PATTERNS = {
    r"^[a-z][a-z0-9-]{1,62}$": "wrong name {found}: use lower-case letters, digits and hyphens, "
    "a letter first, 2 to 63 characters",
    r"^[a-z][a-z0-9_]{0,62}$": "wrong id {found}: use lower-case letters, digits and underscores, "
    "a letter first, at most 63 characters",
}
_CALLS_ONLY = {"retry", "cache", "timeout"}


def complaints(error: ErrorDetails, model: type[Part], raw: JsonValue) -> Iterator[Complaint]:
    """Everything one pydantic error says about `raw`, which was read as `model`."""
    path = _path_in(raw, error["loc"], is_missing=error["type"] == "missing")
    kind = error["type"]
    context: dict[str, Any] = error.get("ctx", {})  # Any: pydantic's own type
    if kind == "expression":
        for fault in cast("list[Fault]", context["faults"]):  # put there by `fields`
            at = (*path, *fault.path)
            yield Complaint(at, fault.message, offset=fault.offset, is_expression=True)
    elif kind == "too_short" and error["input"]:
        return  # its entries are wrong, and each is reported
    elif kind == "missing":
        yield Complaint(path, f"missing key `{path[-1]}`", at="holder")
    elif kind == "extra_forbidden":
        yield _unknown_key(path, model)
    else:
        yield Complaint(path, words(error), _hint(kind, error, context))


def known_keys(model: type[Part]) -> list[str]:
    """The keys a mapping of this model may have, as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown_key(path: Path, model: type[Part]) -> Complaint:
    key = str(path[-1])
    owner = _model_at(model, path[:-1])
    if owner is None:
        return Complaint(path, f"unknown key `{key}`", at="key")
    if key in _CALLS_ONLY and "use" in owner.model_fields:
        return Complaint(
            path, f"`{key}` does not work on this node",
            "It works on llm, agent, knowledge.search and tools.", "key",
        )  # fmt: skip
    hint = did_you_mean_or(key, known_keys(owner), what="Known here")
    return Complaint(path, f"unknown key `{key}`", hint, "key")


def _model_at(model: type[Part], path: Path) -> type[Part] | None:
    """The model of a mapping inside a part, found by following the fields' annotations."""
    owner: type[Part] | None = model
    for step in path:
        if owner is None:
            return None
        if isinstance(step, int):
            continue
        by_key = {field.alias or name: field for name, field in owner.model_fields.items()}
        field = by_key.get(step)
        if field is None:
            continue  # a key that a person chose, such as a connection's name
        owner = _part_of(field.annotation)
    return owner


def _part_of(annotation: object) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    found = (_part_of(argument) for argument in get_args(annotation))
    return next((part for part in found if part is not None), None)


def _path_in(raw: JsonValue, loc: tuple[int | str, ...], *, is_missing: bool) -> Path:
    """Pydantic's location without the union members it names on the way."""
    path: list[str | int] = []
    here = raw
    for position, step in enumerate(loc):
        match here, step:
            case dict(), str() if step in here:
                here = here[step]
            case list(), int() if step < len(here):
                here = here[step]
            case _ if position == 0:
                here = None  # a key of the model, put there since by a repair
            case _ if not (is_missing and position == len(loc) - 1):
                continue
            case _:
                pass
        path.append(step)
    return tuple(path)


def words(error: ErrorDetails) -> str:
    """What one pydantic error says, in the words of the language."""
    kind = error["type"]
    context: dict[str, Any] = error.get("ctx", {})  # Any: pydantic's own type
    found = shown(error["input"])
    if kind in _TYPES:
        return f"expected {_TYPES[kind]}, found {found}"
    if kind in _LIMITS:
        limit, key = _LIMITS[kind]
        bound = context[key]
        shown_bound = f"{bound:g}" if isinstance(bound, float) else str(bound)
        return f"must be {limit} {shown_bound}, found {found}"
    match kind:
        case "literal_error" | "enum":
            expected = str(context["expected"]).replace("True", "true")
            return f"expected {expected}, found {found}"
        case "string_pattern_mismatch":
            return _PATTERNS.get(context["pattern"], "{found} does not match {pattern}").format(
                found=found, pattern=context["pattern"]
            )
        case "too_short" | "string_too_short":
            return "may not be empty"
        case "too_long":
            return f"has at most {context['max_length']} entries"
        case _:
            return error["msg"][:300]


def _hint(kind: str, error: ErrorDetails, context: dict[str, Any]) -> str | None:  # Any: pydantic's
    if kind in {"literal_error", "enum"} and isinstance(error["input"], str):
        choices = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        hint = did_you_mean_or(error["input"], choices, what="Known here")
        return hint if hint.startswith("Did") else None
    if kind == "condition_marker":
        return "Remove ${{ and }}."
    if kind == "string_type" and isinstance(error["input"], bool | int | float):
        return "Quote it."
    return None


def shown(value: object) -> str:
    """A value as a message names it, short."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return "something else"
