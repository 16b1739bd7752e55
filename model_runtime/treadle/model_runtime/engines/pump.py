"""A stream passed on by a task of its own.

The response is cancelled wherever it stands when its client leaves, and a generator under
cancellation cannot be trusted to close what it holds. The task is told once, at any time, and
closes the connection to the engine in peace.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import JsonValue
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from treadle.model_runtime.errors import RequestError, UpstreamFailed
from treadle.model_runtime.server.errors import error_body
from treadle.model_runtime.server.exchange import CLIENT_LEFT, disconnected
from treadle.model_runtime.server.wire import DONE, event

log = logging.getLogger(__name__)
KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
AHEAD = 64  # chunks that a slow reader may be behind before the engine is slowed, too
Arrived = asyncio.Queue[JsonValue | RequestError]


async def relayed(request: Request, chunks: AsyncGenerator[JsonValue]) -> Response:
    """Chunks as server-sent events.

    Nothing is promised before the first chunk is there, so that a refusal keeps its status.

    Raises:
        RequestError: It came in place of the first chunk.
    """
    arrived: Arrived = asyncio.Queue(maxsize=AHEAD)
    pump = asyncio.create_task(_pump(chunks, arrived))
    waiting = asyncio.create_task(arrived.get())
    gone = asyncio.create_task(disconnected(request))
    try:
        await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            pump.cancel()
            return Response(status_code=CLIENT_LEFT)
        if isinstance(first := waiting.result(), RequestError):
            raise first
        return _Relayed(_written(first, arrived), pump)
    finally:
        waiting.cancel()
        gone.cancel()


class _Relayed(StreamingResponse):
    """However it ends, the pump ends with it."""

    def __init__(self, events: AsyncIterator[bytes], pump: asyncio.Task[None]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._pump = pump

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pump.cancel()


async def _pump(chunks: AsyncGenerator[JsonValue], arrived: Arrived) -> None:
    """Everything up to the end, which is null, or to an error."""
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                await arrived.put(chunk)
    except RequestError as error:
        await arrived.put(error)
    # The edge of the task: whatever went wrong, the reader may not wait for ever.
    except Exception:
        log.exception("relay.failed")
        await arrived.put(UpstreamFailed("the server failed; its log says how"))
    else:
        await arrived.put(None)


async def _written(first: JsonValue, arrived: Arrived) -> AsyncIterator[bytes]:
    """Events, comments while nothing comes, an error's body, and the end mark."""
    item: JsonValue | RequestError = first
    while item is not None:
        if isinstance(item, RequestError):
            yield event(error_body(item))
            break
        yield event(item)
        while True:
            try:
                item = await asyncio.wait_for(arrived.get(), KEEP_ALIVE_S)
            except TimeoutError:
                yield KEEP_ALIVE
            else:
                break
    yield DONE
