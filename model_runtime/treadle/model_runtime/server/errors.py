"""Errors as OpenAI's clients expect them."""

import logging
from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, JsonValue, ValidationError
from starlette.exceptions import HTTPException

from treadle.model_runtime.errors import BadRequest, Overloaded, RequestError, Unauthorised

log = logging.getLogger(__name__)
Body = TypeVar("Body", bound=BaseModel)


def error_body(error: RequestError) -> dict[str, JsonValue]:
    """`{"error": {message, type, param, code}}`."""
    return {
        "error": {
            "message": error.message,
            "type": error.kind,
            "param": error.param,
            "code": error.code,
        }
    }


def error_response(error: RequestError) -> JSONResponse:
    """The body with its status, and when to come back."""
    headers: dict[str, str] = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthorised):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error_body(error), status_code=error.status, headers=headers)


def install_error_handlers(app: FastAPI) -> None:
    """Render every error in one form; what is not expected is logged once and answers 500."""

    @app.exception_handler(RequestError)
    async def expected(_: Request, error: RequestError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(bad_request(error.errors()))

    @app.exception_handler(HTTPException)
    async def framework(_: Request, error: HTTPException) -> JSONResponse:
        body = error_body(BadRequest(str(error.detail), code="not_found"))
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("request.failed", exc_info=error)
        body: dict[str, JsonValue] = {
            "message": "the server failed; its log says how",
            "type": "server_error",
            "param": None,
            "code": "internal",
        }
        return JSONResponse({"error": body}, status_code=500)

    _ = (expected, invalid, framework, unexpected)


def parsed(kind: type[Body], body: JsonValue) -> Body:
    """What a client sent by another way than as the body of its request.

    Raises:
        BadRequest: A field is wrong.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise bad_request(error.errors()) from None


def bad_request(problems: Sequence[Any]) -> BadRequest:  # Any: FastAPI says no more of them
    """The first wrong field, named as the client wrote it."""
    problem = problems[0]
    where = ".".join(str(part) for part in problem["loc"] if part != "body")
    if problem["type"] == "extra_forbidden":
        return BadRequest(f"unknown field {where!r}", code="unknown_parameter", param=where)
    message = f"{where}: {problem['msg']}" if where else str(problem["msg"])
    return BadRequest(message, param=where or None)
