"""Answers that go on for as long as somebody reads them."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi.responses import StreamingResponse
from starlette.types import Message, Send
from typing_extensions import override

from treadle.platform.log import get_log

PATIENCE_S = 30.0
"""How long a reader may take nothing although there is something. Then it is cut: whoever still
wants the rest comes back with `Last-Event-ID`, and nothing waits here for who does not."""

log = get_log(__name__)


class EventStream(StreamingResponse):
    """Server-sent events for a reader who keeps up.

    Args:
        events: Closed when the reader is gone, or cut.
    """

    def __init__(self, events: AsyncGenerator[str], *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(
            events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )
        self._events = events
        self._patience_s = patience_s

    @override
    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._patience_s):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            log.info("events.cut", seconds=self._patience_s)
        finally:
            await self._events.aclose()
