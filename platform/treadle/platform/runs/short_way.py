"""The call that is made most: a run of a stored agent, without the layers around a route.

FastAPI spends more on such a call than the run itself does: exit stacks, dependencies that are
solved anew, a router. So one that is written plainly (JSON, its length, no idempotency key, no
query) is answered here, by the same parts and in the same order: key, scope, body, run. Whatever
is the least bit unusual, and whatever is wrong before the run is accepted, goes on to the route,
which knows what to say. The route is also where the contract stands, for OpenAPI.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import cast

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope as KeyScope
from treadle.platform.routing import JSON_LIMIT, read_json
from treadle.platform.runs.schemas import AgentRun
from treadle.platform.runs.service import Order
from treadle.platform.services import Services

ROUTE = "/v1/agents/{agent}/runs"
_PATH = re.compile(r"/v1/agents/([A-Za-z0-9_-]+)/runs")
_UNUSUAL = frozenset({b"idempotency-key", b"transfer-encoding", b"expect"})


_Handler = Callable[[Request, Exception], Awaitable[Response]]


class _Route:
    """What the edge reads of a route: its pattern, for logs and metrics."""

    path = ROUTE


class ShortWay:
    """Stands between the edge and the routes.

    Args:
        handlers: Make answers of errors; the app's own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        services: Services,
        handlers: Mapping[int | type[Exception], ExceptionHandler],
    ) -> None:
        self._app = app
        self._services = services
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, here or by its route."""
        agent = _plain_agent(scope)
        headers = None if agent is None else _plain_headers(scope)
        if agent is None or headers is None:
            await self._app(scope, receive, send)
            return
        caller = await self._caller(headers)
        if caller is None:
            await self._app(scope, receive, send)
            return
        heard: list[Message] = []
        asked = _asked(await _read(receive, heard))
        if asked is None:
            await self._app(scope, _again(heard, receive), send)
            return
        scope["route"] = _Route
        response = await self.start(scope, caller, agent, asked)
        await response(scope, receive, send)

    async def _caller(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Whose key it is; `None` unless it may start runs."""
        written = headers.get(b"authorization")
        if written is None:
            return None
        try:
            caller = await self._services.keys.authenticate(written.decode("latin-1"))
        except Exception:  # noqa: BLE001 - the route meets it again, and says what it is
            return None
        return caller if KeyScope.RUNS_WRITE in caller.scopes else None

    async def start(self, scope: Scope, caller: Caller, agent: str, asked: AgentRun) -> Response:
        """Start the run and answer as the route would."""
        order = Order(asked.inputs, asked.run_at, asked.wait_s)
        try:
            run, has_ended = await self._services.runs.start_agent(caller, agent, order)
        except Exception as error:
            handler = next(
                (self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers),
                None,
            )
            if handler is None:
                raise
            # Starlette types a handler by all that it may be; these are of requests, and async.
            return await cast("_Handler", handler)(Request(scope), error)
        return JSONResponse(run, HTTPStatus.OK if has_ended else HTTPStatus.ACCEPTED)


def _plain_agent(scope: Scope) -> str | None:
    """The agent of a call that starts a run; `None` for any other call."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
        return None
    found = _PATH.fullmatch(scope["path"])
    return None if found is None else found[1]


def _plain_headers(scope: Scope) -> dict[bytes, bytes] | None:
    """A request's headers, if they ask for nothing but JSON of a known and fitting length."""
    headers = dict[bytes, bytes](scope["headers"])
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    length = headers.get(b"content-length", b"")
    is_plain = (
        media_type == b"application/json"
        and length.isdigit()
        and 0 < int(length) <= JSON_LIMIT
        and not any(name in _UNUSUAL for name in headers)
        and len(headers) == len(scope["headers"])
    )
    return headers if is_plain else None


async def _read(receive: Receive, heard: list[Message]) -> bytes | None:
    """The body; `None` if the client left. What was heard can be heard again."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        heard.append(message)
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def _asked(body: bytes | None) -> AgentRun | None:
    """What is asked for; `None` unless it is right."""
    if body is None:
        return None
    try:
        return AgentRun.model_validate(read_json(body))
    except (HTTPException, ValidationError):
        return None


def _again(heard: list[Message], receive: Receive) -> Receive:
    left = iter(heard)

    async def replay() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return replay
