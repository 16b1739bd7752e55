"""Rendered arguments as typed parameters; what does not fit is named for people."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from treadle.agents.errors import StepFailed
from treadle.agents.expressions.semantics import type_name
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonObject
from treadle.integrations.errors import ErrorClass

M = TypeVar("M", bound=BaseModel)


def validated(turn: Turn, model: type[M], arguments: JsonObject, *, of: str) -> M:
    """The arguments as `model`; raises `StepFailed` that names node, argument and type found.

    `of` is what takes the arguments, as people know it: a tool's name.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        raise StepFailed(
            f"{turn.node.template_path}: {_explained(error, arguments, of)}",
            error_class=ErrorClass.INVALID_INPUT,
            code="invalid_arguments",
            may_repeat=False,
        ) from error


def _explained(error: ValidationError, arguments: JsonObject, of: str) -> str:
    first, *others = error.errors(include_url=False)
    name = ".".join(str(part) for part in first["loc"]) or "with"
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "missing":
        given = ", ".join(arguments) or "none"
        return f"argument {name!r} of {of} is missing; given: {given}{more}"
    return f"argument {name!r} of {of} is {type_name(first['input'])}: {first['msg']}{more}"
