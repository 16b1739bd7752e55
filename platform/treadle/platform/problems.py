"""Every error as RFC 9457 problem details: the one place that turns exceptions into answers."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Literal, Self

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from treadle.agents.errors import InputsInvalid, Issue, TemplateInvalid
from treadle.agents.language.findings import did_you_mean
from treadle.platform.db.away import is_away
from treadle.platform.errors import PlatformError, Unavailable, Unprocessable
from treadle.platform.log import get_log

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = {"Retry-After": "1"}
_HTTP_CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}

log = get_log(__name__)


class IssueView(BaseModel):
    """One finding about a template, its inputs or a request."""

    severity: Literal["error", "warning"]
    path: str
    line: int | None
    column: int | None
    message: str
    hint: str | None

    @classmethod
    def of(cls, issue: Issue) -> Self:
        """Show an issue."""
        return cls.model_validate(asdict(issue))


def problem(
    status: HTTPStatus,
    *,
    code: str,
    detail: str,
    issues: Sequence[Issue] | None = None,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Make an answer. `detail` is for people and may change, `code` is for programs and may not."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": code,
        "detail": detail,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
    }
    if issues is not None:
        body["issues"] = [asdict(issue) for issue in issues]
    body |= members or {}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def internal_problem() -> JSONResponse:
    """Answer to a bug: says nothing but the request's id, under which the log has the rest."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        code="internal",
        detail="something went wrong here; the log has it under this request's id",
    )


def install_problems(app: FastAPI) -> None:
    """Let the app answer every expected error as a problem."""
    app.add_exception_handler(PlatformError, _platform_error)
    app.add_exception_handler(TemplateInvalid, _template_invalid)
    app.add_exception_handler(InputsInvalid, _inputs_invalid)
    app.add_exception_handler(RequestValidationError, _request_invalid)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolTimeout, _database_error)


# Starlette types every handler by `Exception`; each below is registered for one class of it.


async def _platform_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlatformError)  # noqa: S101 - registered for this class alone
    headers = dict(error.headers)
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers["Connection"] = "close"  # else the server reads on to the end of the body
    if error.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers |= _RETRY_AFTER
    issues = error.issues if isinstance(error, Unprocessable) else None
    return problem(
        error.status,
        code=error.code,
        detail=error.message,
        issues=issues,
        headers=headers,
        members=error.members,
    )


async def _template_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TemplateInvalid)  # noqa: S101 - registered for this class alone
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        code="template_invalid",
        detail=str(error),
        issues=error.issues,
    )


async def _inputs_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InputsInvalid)  # noqa: S101 - registered for this class alone
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        code="inputs_invalid",
        detail=str(error),
        issues=error.issues,
    )


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    status = HTTPStatus(error.status_code)
    code = _HTTP_CODES.get(status, status.name.lower())
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
    detail = error.detail
    if status is HTTPStatus.NOT_FOUND:  # a thing that is not there is a `NotFound`: no route is
        detail = f"no address {request.url.path[:200]!r}; /docs lists all of them"
    return problem(status, code=code, detail=detail, headers=headers)


def _allowed_methods(request: Request) -> set[str]:
    """All methods of a path: the router names only those of the first route that matches it."""
    contexts = iter_route_contexts(request.app.routes)
    return {
        method
        for context in contexts
        if context.route.matches(request.scope)[0] is not Match.NONE
        for method in context.methods or ()
    }


async def _request_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    errors = error.errors()
    missing = [str(item["loc"][-1]) for item in errors if item["type"] == "missing"]
    issues = [_field_issue(item, missing) for item in errors]
    first = next((issue for issue in issues if issue.hint), issues[0])
    where = f"{first.path}: " if first.path else ""
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        code="invalid_request",
        detail=f"{where}{first.message}" + (f" ({first.hint})" if first.hint else ""),
        issues=issues,
    )


def _field_issue(
    error: Mapping[str, Any], missing: Sequence[str]
) -> Issue:  # Any: as pydantic gives its errors
    """Say what is wrong with one field, never what it holds: it may be a secret."""
    location: Sequence[str | int] = error["loc"]
    path = ".".join(str(part) for part in location[1:])
    message: str = error["msg"]
    hint = None
    if error["type"] == "extra_forbidden":
        message = f"unknown field {location[-1]!r}"
        hint = did_you_mean(str(location[-1]), missing)
    elif error["type"] == "value_error":
        message = message.removeprefix("Value error, ")
    elif error["type"] == "missing":
        message = f"{location[-1]!r} is required"
    return Issue("error", path, None, None, message, hint)


async def _database_error(_: Request, error: Exception) -> JSONResponse:
    """A database that is away is no bug; any other failure of it is, and goes on to the edge."""
    if isinstance(error, DBAPIError) and not is_away(error):
        raise error
    log.warning("database.away", error=str(error.__cause__ or error))
    return problem(
        Unavailable.status,
        code="database_unavailable",
        detail="the database does not answer; try again",
        headers=_RETRY_AFTER,
    )


def similar_name(name: str, names: Sequence[str]) -> str | None:
    """The hint for a name that is not there."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else None
