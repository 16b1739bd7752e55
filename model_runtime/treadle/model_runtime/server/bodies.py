"""A limit on the size of requests, before anything is parsed."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.server.errors import error_response


class BodyTooLarge(BadRequest):
    """More bytes than the server takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a request may have {limit} bytes", code="too_large")


class BodyLimit:
    """Refuses a body by its stated length, or as soon as too much has come."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app, self._max = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self._max:
            await error_response(BodyTooLarge(self._max))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max:
                raise BodyTooLarge(self._max)
            return message

        await self._app(scope, counted, send)
