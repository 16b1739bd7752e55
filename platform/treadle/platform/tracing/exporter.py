"""Sends spans to a collector, in the background. Whatever becomes of them, nobody waits."""

import asyncio
from collections import deque
from contextlib import suppress

import httpx

from treadle.platform.log import get_log
from treadle.platform.loops import keep_going
from treadle.platform.tracing.spans import Span, write_spans

MOST_PENDING = 10_000
MOST_AT_ONCE = 512
EVERY_S = 2.0
TIMEOUT_S = 5.0

log = get_log(__name__)


class Exporter:
    """Exports from one process.

    Args:
        endpoint: Of OTLP over HTTP; `/v1/traces` is appended.
        service: What collectors call this process.
    """

    def __init__(self, endpoint: str, *, service: str, every_s: float = EVERY_S) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        self._service = service
        self._every_s = every_s
        self._spans: deque[Span] = deque(maxlen=MOST_PENDING)
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = keep_going(self._work, name="tracing")

    def add(self, span: Span) -> None:
        """Send this soon. While the collector is away the oldest are dropped."""
        self._spans.append(span)

    async def stop(self) -> None:
        """Send what is left, once, and stop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._flush()
        await self._client.aclose()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._flush()

    async def _flush(self) -> None:
        while self._spans:
            batch = [self._spans.popleft() for _ in range(min(MOST_AT_ONCE, len(self._spans)))]
            try:
                answer = await self._client.post(
                    self._url, json=write_spans(batch, service=self._service)
                )
                answer.raise_for_status()
            except httpx.HTTPError as error:
                log.warning("tracing.dropped", spans=len(batch), reason=str(error))
                return


def exporter_of(endpoint: str | None, *, service: str) -> Exporter | None:
    """The exporter of a process, where a setting names a collector."""
    return None if endpoint is None else Exporter(endpoint, service=service)
