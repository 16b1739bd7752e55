"""The outermost layer of every request: its id, its log line, its headers, and the last catch."""

import os
import re
import time
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.platform.health.metrics import REQUEST_SECONDS
from treadle.platform.log import get_log
from treadle.platform.problems import internal_problem
from treadle.platform.tracing.context import TraceContext, present
from treadle.platform.tracing.exporter import Exporter
from treadle.platform.tracing.requests import RequestTrace

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SECURITY_HEADERS = [
    (name.lower().encode("ascii"), value.encode("ascii"))
    for name, value in SECURITY_HEADERS.items()
]
_REQUEST_ID_HEADER = b"x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")

log = get_log(__name__)


class Edge:
    """Catches what nothing below expected, once, and answers 500 without a word about it."""

    def __init__(self, app: ASGIApp, *, exporter: Exporter | None = None) -> None:
        self._app = app
        self._exporter = exporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        trace = self._begin_trace(headers.get("traceparent"))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            log.exception("request.failed", method=scope["method"])
            if not answer.started:
                await internal_problem()(scope, receive, answer.send)
        finally:
            route = _observe(scope, answer.status, time.perf_counter() - started)
            if trace is not None and self._exporter is not None:
                method = str(scope["method"])
                trace.end(self._exporter, method=method, route=route, status=answer.status)

    def _begin_trace(self, traceparent: str | None) -> RequestTrace | None:
        """Note where the request is in its trace; without a collector that is what it says."""
        caller = None if traceparent is None else TraceContext.read(traceparent)
        trace = None if self._exporter is None else RequestTrace(caller)
        present.set(caller if trace is None else trace.context)
        return trace


class _Answer:
    """Adds headers to an answer on its way out, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.started = False
        self.status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.started = True
            self.status = int(message["status"])
            headers = list(message.get("headers", ()))
            said = {name.lower() for name, _ in headers}
            headers += [one for one in _SECURITY_HEADERS if one[0] not in said]
            headers = [one for one in headers if one[0].lower() != _REQUEST_ID_HEADER]
            headers.append((_REQUEST_ID_HEADER, self._request_id.encode("ascii")))
            message["headers"] = headers
        await self._send(message)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if given and _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


def _observe(scope: Scope, status: int, seconds: float) -> str:
    """Count and log a request; returns its route."""
    # The route's pattern, not the path: ids and names would be tenants' and without bound.
    route = str(getattr(scope.get("route"), "path", "unmatched"))
    REQUEST_SECONDS.labels(scope["method"], route, str(status)).observe(seconds)
    log.info(
        "request.answered",
        method=scope["method"],
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 1),
    )
    return route
