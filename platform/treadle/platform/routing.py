"""How every route of the API is made: who may call it, how much it reads, in what transaction.

```python
router = api_router(tags=["agents"])

@router.get("/v1/agents/{agent}")
async def get_agent(
    agent: str, tx: Transaction, caller: Annotated[Caller, needs(Scope.AGENTS_READ)]
) -> AgentView: ...
```

A route names its scope by the one dependency `needs(scope)`; without one it must be on the short
list of public routes, which a test holds. The key is checked before the body is read.
"""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Depends, Request, Response
from fastapi.params import Depends as DependsMarker
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive
from typing_extensions import override

from treadle.agents.errors import Issue
from treadle.platform.audit.policy import action_name, is_written
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine.errors import KeyTaken
from treadle.platform.errors import (
    NotFound,
    PayloadTooLarge,
    PlatformError,
    Unprocessable,
    UnsupportedMediaType,
)
from treadle.platform.idempotency.attempt import Attempt
from treadle.platform.idempotency.errors import Replay
from treadle.platform.idempotency.fingerprint import read_key
from treadle.platform.services import Services

KIB = 1024
MIB = 1024 * KIB
JSON_LIMIT = MIB

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Body(BaseModel):
    """Base of all request bodies: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def api_router(*, tags: list[str], limit: int = JSON_LIMIT) -> APIRouter:
    """Make a router whose routes check the key first and read at most `limit` bytes."""

    class LimitedRoute(ApiRoute):
        body_limit = limit

    return APIRouter(tags=list(tags), route_class=LimitedRoute)


class Needed:
    """The dependency that names a route's scope and hands it the caller."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        """Return the caller that the route found before it read the body."""
        caller: Caller = request.state.caller
        return caller


def needs(scope: Scope) -> DependsMarker:
    """Mark the parameter that gets the caller, who must have the scope."""
    return DependsMarker(Needed(scope))


def services_of(request: Request) -> Services:
    """What `create_app` wired."""
    services: Services = request.app.state.services
    return services


async def _wired(request: Request) -> Services:
    # FastAPI runs a dependency that is not async in a thread: 0.1 ms, for an attribute.
    return services_of(request)


async def _open_transaction(request: Request) -> AsyncGenerator[TenantConnection, None]:
    caller: Caller = request.state.caller
    attempt: Attempt | None = request.state.attempt
    while True:
        async with services_of(request).database.tenant(caller.workspace) as connection:
            if attempt is None or await attempt.begin(connection):
                request.state.tx = connection
                yield connection
                return
        await attempt.pause()


async def _own_attempt(request: Request) -> Attempt | None:
    caller: Caller = request.state.caller
    attempt: Attempt | None = request.state.attempt
    if attempt is not None:
        async with services_of(request).database.tenant(caller.workspace) as connection:
            await attempt.look(connection)
    return attempt


# `function`: committed before the answer leaves, so that who reads it may rely on it.
Transaction = Annotated[TenantConnection, Depends(_open_transaction, scope="function")]
Wired = Annotated[Services, Depends(_wired)]
Repeatable = Annotated[Attempt | None, Depends(_own_attempt)]
"""For a POST that creates by other means than `Transaction`: it stores the attempt's answer in the
transaction that creates."""


class ApiRoute(APIRoute):
    """A route that checks the key before the body, and reads the body with a limit."""

    body_limit = JSON_LIMIT

    @property
    def scope(self) -> Scope | None:
        """The scope it needs; `None` for a public route."""
        needed = [d.call for d in self.dependant.dependencies if isinstance(d.call, Needed)]
        return needed[0].scope if needed else None

    @property
    def is_repeatable(self) -> bool:
        """Whether a repeated POST with the same `Idempotency-Key` is answered as the first."""
        means = {_open_transaction, _own_attempt}
        return any(d.call in means for d in self.dependant.dependencies)

    @property
    def action(self) -> str | None:
        """Its name in the audit log; `None` for what is not written there."""
        methods = self.methods or set[str]()
        written = self.scope is not None and any(is_written(m, self.path) for m in methods)
        return action_name(self.path, self.endpoint.__name__) if written else None

    @override
    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        scope, action = self.scope, self.action
        handle = handle if action is None else _witnessed(handle, action)

        async def guarded(request: Request) -> Response:
            if scope is not None:
                await _authenticate(request, scope, action)
            _refuse_nul(request)
            if self.body_field is not None and not isinstance(self.body_field.field_info, Form):
                _require_json(request)
            try:
                return await _handle(request, handle, self.body_limit)
            except _Refused as refused:
                raise refused.error from refused

        return guarded


async def _authenticate(request: Request, scope: Scope, action: str | None) -> None:
    services = services_of(request)
    caller = await services.keys.authenticate(request.headers.get("authorization"))
    if action is not None and scope not in caller.scopes:
        await services.witness.saw_denied(request, caller, action=action)
    caller.require(scope)
    request.state.caller = caller


def _witnessed(handle: Handler, action: str) -> Handler:
    """Write down what the route did, in its transaction: a replayed answer did nothing."""

    async def seen(request: Request) -> Response:
        response = await handle(request)
        caller: Caller = request.state.caller
        tx: TenantConnection | None = request.state.tx
        witness = services_of(request).witness
        await witness.saw(request, caller, response, action=action, tx=tx)
        return response

    return seen


async def _handle(request: Request, handle: Handler, limit: int) -> Response:
    request.state.tx = None
    limited = ApiRequest(request.scope, _limited(request, limit))
    attempt = request.state.attempt = _attempt(limited)
    if attempt is None:
        return await handle(limited)
    database = services_of(request).database
    try:
        response = await handle(limited)
    except Replay as replay:
        return replay.response
    except KeyTaken:
        return await attempt.answer_of_the_first(database)
    await attempt.keep(response, database)
    return response


def _attempt(request: Request) -> Attempt | None:
    """The request's idempotency key. It belongs to a workspace: public routes have other means."""
    header = request.headers.get("idempotency-key")
    if header is None or request.method != "POST" or "caller" not in request.scope["state"]:
        return None
    caller: Caller = request.state.caller
    seal = services_of(request).answers
    return Attempt(request, read_key(header), workspace=caller.workspace, seal=seal)


class ApiRequest(Request):
    """A request whose JSON is read strictly."""

    @override
    async def json(self) -> Any:  # Any: as the base class says
        return read_json(await self.body())


def read_json(body: bytes) -> object:
    """Parse JSON as the database can keep it.

    Refuses, beside what is no JSON: double keys, NaN and infinities, NUL and lone surrogates in
    texts, integers of thousands of digits, and nesting that no parser should follow.
    """
    try:
        value: object = json.loads(
            body, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
        )
        if b"\\u" in body:
            _require_clean(value)
    except json.JSONDecodeError as error:
        _refuse_json(error.msg, line=error.lineno, column=error.colno)
    except UnicodeDecodeError:
        _refuse_json("it is not UTF-8")
    except RecursionError:
        _refuse_json("it is nested too deeply")
    except ValueError as error:
        _refuse_json(str(error))
    return value


class _Refused(HTTPException):
    """Carries our error through FastAPI's body reader, which lets only HTTPException pass."""

    def __init__(self, error: PlatformError) -> None:
        super().__init__(error.status, error.message)
        self.error = error


def _refuse_json(reason: str, *, line: int | None = None, column: int | None = None) -> NoReturn:
    issue = Issue("error", "", line, column, reason)
    raise _Refused(
        Unprocessable(f"the body is no valid JSON: {reason}", code="invalid_json", issues=[issue])
    ) from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {double!r} stands twice in one object")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _require_clean(value: object) -> None:
    """Refuse texts with NUL or lone surrogates, which only escapes can have written."""
    text = json.dumps(value, ensure_ascii=False)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("a text holds half of a surrogate pair")
    if "\\u0000" in text.replace("\\\\", ""):
        raise ValueError("a text holds the character NUL")


def _refuse_nul(request: Request) -> None:
    """PostgreSQL's texts cannot hold it, so nothing has such a name."""
    if "\0" in request.scope["path"]:
        raise NotFound("path", request.scope["path"])
    if b"%00" in request.scope["query_string"]:
        raise Unprocessable("the query holds the character NUL", code="invalid_request")


def _require_json(request: Request) -> None:
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        return
    raise UnsupportedMediaType(
        f"this call reads JSON, not {media_type or 'a body without a type'!r}:"
        " send the header `Content-Type: application/json`"
    )


def _limited(request: Request, limit: int) -> Receive:
    """Read on from the client, and stop at the first byte over the limit."""
    announced = request.headers.get("content-length", "")
    total = 0

    async def receive() -> Message:
        nonlocal total
        if announced.isdecimal() and int(announced) > limit:
            raise _Refused(PayloadTooLarge(limit))
        message = await request.receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > limit:
                raise _Refused(PayloadTooLarge(limit))
        return message

    return receive
