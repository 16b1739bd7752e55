"""A limit on the size of requests, before anything is parsed."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.model_runtime.errors import RequestError
from treadle.model_runtime.server.errors import error_response


class BodyTooLarge(RequestError):
    """More bytes than the server takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"a request may have {limit} bytes here", code="too_large")


class BodyLimit:
    """Refuses a body by its stated length, or as soon as too much has come."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, longer: Mapping[str, int] | None = None
    ) -> None:
        """`longer` has limits of their own for some paths."""
        self._app, self._max, self._longer = app, max_bytes, longer or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._longer.get(scope["path"], self._max)
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > limit:
            await error_response(BodyTooLarge(limit))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLarge(limit)
            return message

        await self._app(scope, counted, send)
