"""Structured answers: the value in a text, checked against its schema, and how to ask again."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import JsonValue
from referencing import Registry
from referencing.exceptions import Unresolvable

from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models.calls import JsonSchema, Message

MAX_PROBLEMS = 10
MAX_ECHO = 20_000  # characters of a wrong answer that the model sees again
MAX_VALUE = 200  # characters of a wrong value in a message

_FENCE = re.compile(
    r"^[ \t]*```[ \t]*[A-Za-z0-9]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```[ \t]*$", re.S | re.M
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value that is valid for its schema."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why an answer holds no such value; each problem names the place."""

    problems: tuple[str, ...]


def parse_value(text: str, schema: JsonSchema) -> Parsed | Rejected:
    """Read the JSON of an answer, in a code fence or not, and check it.

    Raises `ToolError` (invalid_input, `bad_schema`) where the schema itself is wrong.
    """
    try:
        value = _decode(text)
    except (ValueError, RecursionError) as error:
        return Rejected((f"the answer is not JSON: {error}",))
    problems = check_value(value, schema)
    return Rejected(tuple(problems)) if problems else Parsed(value)


def check_value(value: JsonValue, schema: JsonSchema) -> list[str]:
    """What is wrong with a value, worst first; nothing is fetched for a `$ref`."""
    try:
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, registry=Registry())
        found: Iterable[ValidationError] = validator.iter_errors(value)  # pyright: ignore[reportUnknownMemberType] # its stub has an untyped overload
        errors = sorted(found, key=lambda error: list(map(str, error.path)))
    except (SchemaError, Unresolvable) as error:
        raise _bad_schema(str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise _bad_schema("it refers to itself without end") from error
    return [_problem(error) for error in errors[:MAX_PROBLEMS]]


def repair_messages(
    messages: Sequence[Message], answer: str, problems: Iterable[str]
) -> tuple[Message, ...]:
    """The conversation, the wrong answer, and what to mend in it."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    request = (
        f"That answer cannot be used:\n{listed}\n"
        "Answer again with the whole corrected JSON value and nothing else."
    )
    return (
        *messages,
        Message(role="assistant", content=answer[:MAX_ECHO]),
        Message(role="user", content=request),
    )


def _decode(text: str) -> JsonValue:
    """The whole text as JSON, else its one code fence."""
    try:
        return _strict(text)
    except ValueError:
        fences = _FENCE.findall(text)
        if len(fences) != 1:
            raise
        return _strict(fences[0])


def _strict(text: str) -> JsonValue:
    value: JsonValue = json.loads(text.strip(), parse_constant=_refuse)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


def _problem(error: ValidationError) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path)
    message = error.message
    if len(message) > MAX_VALUE:
        message = f"…{message[-MAX_VALUE:]}"
    return f"{place.lstrip('.') or 'the value'}: {message}"


def _bad_schema(reason: str) -> ToolError:
    return ToolError(
        f"the schema of the answer is wrong: {reason}",
        error_class=ErrorClass.INVALID_INPUT,
        code="bad_schema",
    )
