"""The kinds of value a key of a template holds: values with expressions, conditions, schemas.

`Value` is what most keys hold. `Fits(type)` narrows what may stand there as a constant; an
expression may stand there always, and is checked when it is evaluated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic import JsonValue as Json
from pydantic_core import PydanticCustomError, core_schema

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import Compiled, Reference, compile_expression, compile_value
from treadle.agents.values import JsonValue

Path: TypeAlias = tuple[str | int, ...]
EXPRESSION_SCHEMA: dict[str, JsonValue] = {
    "type": "string",
    "pattern": r"\$\{[{%]",
    "description": "An expression: ${{ … }}",
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A string with markers inside a value; `path` leads to it from the value."""

    path: Path
    source: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A wrong expression inside a value; `offset` counts in the string at `path`."""

    path: Path
    message: str
    offset: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What a key holds: as written (`raw`), and compiled. Constants evaluate to themselves."""

    raw: JsonValue
    compiled: Compiled | None
    leaves: tuple[Leaf, ...]

    @property
    def is_constant(self) -> bool:
        """Whether it holds no expression at all."""
        return self.compiled is None

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every name read, in order of appearance."""
        return tuple(reference for leaf in self.leaves for reference in leaf.references)

    @property
    def is_whole_expression(self) -> bool:
        """Whether it is written as one expression, so that its type is known only when it runs."""
        return is_whole_expression(self.raw) and not self.is_constant

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value in this scope; raises `ExpressionError`."""
        return self.raw if self.compiled is None else self.compiled.evaluate(scope)


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A bare expression: `when`, `until`, `expect`. Its truth decides."""

    source: str
    compiled: Compiled

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every name read, in order of appearance."""
        return self.compiled.references

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value in this scope (`holds` asks for its truth); raises `ExpressionError`."""
        return self.compiled.evaluate(scope)

    def holds(self, scope: Mapping[str, JsonValue]) -> bool:
        """Whether it is true: null, false, zero, empty text, list and object are not."""
        return bool(self.compiled.evaluate(scope))


def has_marker(text: str) -> bool:
    """Whether a string holds an expression or a text block."""
    return "${{" in text or "${%" in text


def is_whole_expression(value: JsonValue) -> bool:
    """Whether a value looks like one whole expression, so that it can have any type."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    return text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1


def marked_strings(value: JsonValue, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string with a marker inside a JSON value, keys left out, in order."""
    match value:
        case str():
            if has_marker(value):
                yield path, value
        case list():
            for index, item in enumerate(value):
                yield from marked_strings(item, (*path, index))
        case dict():
            for key, item in value.items():
                yield from marked_strings(item, (*path, key))
        case _:
            return


def read_value(raw: JsonValue) -> Value:
    """Compile a value; raises a pydantic error that carries every `Fault`."""
    strings = list(marked_strings(raw))
    if not strings:
        return Value(raw, None, ())
    faults: list[Fault] = []
    leaves: list[Leaf] = []
    compiled: Compiled | None = None
    for path, source in strings:
        try:
            compiled = compile_value(source)
            leaves.append(Leaf(path, source, compiled.references))
        except ExpressionError as error:
            faults.append(Fault(path, error.message, error.offset))
    if faults:
        raise PydanticCustomError("expression", "wrong expression", {"faults": faults})
    if not isinstance(raw, str):
        compiled = compile_value(raw)
    return Value(raw, compiled, tuple(leaves))


def read_condition(raw: JsonValue) -> Condition:
    """Compile a condition; `true` and `false` may stand unquoted."""
    if isinstance(raw, bool):
        raw = "true" if raw else "false"
    if not isinstance(raw, str):
        raise PydanticCustomError("condition", "expected an expression such as inputs.review")
    if raw.lstrip().startswith("${{"):
        raise PydanticCustomError(
            "condition_marker", "an expression stands here without the marker ${{ }}"
        )
    try:
        return Condition(raw, compile_expression(raw))
    except ExpressionError as error:
        faults = [Fault((), error.message, error.offset)]
        raise PydanticCustomError("expression", "wrong expression", {"faults": faults}) from None


class Fits:
    """Annotation of a `Value`: what a constant must be. `Fits(int)` takes 3 and `${{ x }}`."""

    def __init__(self, constant: Any) -> None:  # Any: a type form, which Python cannot type yet
        self.constant = constant

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check a constant against the type; keep expressions for later."""
        return core_schema.no_info_wrap_validator_function(
            self._read, handler.generate_schema(self.constant)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:  # Any: pydantic's own type for a JSON Schema
        """The constant's schema, or an expression."""
        inner = handler(schema)
        if not inner or (inner.get("type") == "string" and len(inner) == 1):
            return inner
        return {"anyOf": [inner, dict(EXPRESSION_SCHEMA)]}

    @staticmethod
    def _read(raw: "JsonValue | Value", check: core_schema.ValidatorFunctionWrapHandler) -> Value:
        if isinstance(raw, Value):
            return raw
        if is_whole_expression(raw):
            return read_value(raw)
        if isinstance(raw, str) or not any(True for _ in marked_strings(raw)):
            check(raw)
        return read_value(raw)


class ReadsCondition:
    """Annotation of a `Condition`."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Compile the text."""
        return core_schema.no_info_plain_validator_function(
            lambda raw: raw if isinstance(raw, Condition) else read_condition(raw)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:  # Any: pydantic's own type for a JSON Schema
        """A text or a boolean."""
        return {
            "type": ["string", "boolean"],
            "description": "An expression without the marker: inputs.review == true",
        }


AnyValue = Annotated[Value, Fits(Any)]
TextValue = Annotated[Value, Fits(str)]
WholeNumberValue = Annotated[Value, Fits(int)]
ListValue = Annotated[Value, Fits(list[Any])]
ObjectValue = Annotated[Value, Fits(dict[str, Any])]
When = Annotated[Condition, ReadsCondition()]

__all__ = [
    "AnyValue",
    "Condition",
    "Fault",
    "Fits",
    "Json",
    "Leaf",
    "ListValue",
    "ObjectValue",
    "Path",
    "TextValue",
    "Value",
    "When",
    "WholeNumberValue",
]
