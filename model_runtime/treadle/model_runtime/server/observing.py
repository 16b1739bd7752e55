"""Counts every request, and makes a span of it where spans are wanted."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.model_runtime.server.tracing import Exporter, Span, begun, present

UNKNOWN = "unknown"  # paths that clients make up are no label


class Observing:
    """The outermost layer of the app."""

    def __init__(
        self, app: ASGIApp, *, count: Callable[[str, int], None], exporter: Exporter | None
    ) -> None:
        self._app, self._count, self._exporter = app, count, exporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        span = None if self._exporter is None else begun(_traceparent(scope))
        token, status = present.set(span), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            present.reset(token)
            self._note(span, scope, status)

    def _note(self, span: Span | None, scope: Scope, status: int) -> None:
        route = str(getattr(scope.get("route"), "path", UNKNOWN))
        self._count(route, status)
        if span is None or self._exporter is None:
            return
        span.note("http.request.method", scope["method"])
        span.note("http.route", route)
        span.note("http.response.status_code", status)
        self._exporter.add(span.written(f"{scope['method']} {route}", status))


def _traceparent(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers.get(b"traceparent", b"").decode("latin-1")
