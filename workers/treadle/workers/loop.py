"""The thread whose event loop hosts the runs; Celery keeps the main thread."""

import asyncio
import gc
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol
from uuid import UUID

import uvloop

from treadle.platform.engine.errors import CommitRefused, DatabaseAway
from treadle.platform.engine.ids import RunId
from treadle.platform.log import get_log

STOP_WITHIN_S = 35.0
_RETRY_S = 1.0

log = get_log(__name__)


class Service(Protocol):
    """What lives on the loop."""

    async def start(self) -> None:
        """Begin; raises `DatabaseAway` where it has to be tried again."""
        ...

    def ring(self, runs: Sequence[RunId]) -> None:
        """Look at these runs."""
        ...

    async def stop(self) -> None:
        """Finish or hand over what is under way, and end."""
        ...


class LoopThread:
    """Runs a service on a loop of its own.

    Args:
        build: Makes the service, on the loop.
    """

    def __init__(self, build: Callable[[], Service]) -> None:
        self._build = build
        self._loop = uvloop.new_event_loop()
        self._service: Service | None = None
        self._stopping: Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name="runs", daemon=True)

    def start(self) -> None:
        """Start; the service begins as soon as its database answers."""
        self._thread.start()

    def ring(self, run_ids: Sequence[str]) -> None:
        """Pass ids to the service, from any thread; what is no id names nothing."""
        runs = [RunId(found) for text in run_ids if (found := _read_id(text)) is not None]
        self._loop.call_soon_threadsafe(self._ring, runs)

    def begin_stop(self) -> None:
        """Ask the service to stop, from any thread or signal handler; more than once is once."""
        if self._stopping is None:
            self._stopping = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)

    def stop(self) -> None:
        """Stop the service and its loop; returns when both have ended."""
        self.begin_stop()
        assert self._stopping is not None  # noqa: S101 - set by the line before
        try:
            self._stopping.result(STOP_WITHIN_S)
        except TimeoutError:
            log.warning("worker.stop_timed_out", seconds=STOP_WITHIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _ring(self, runs: Sequence[RunId]) -> None:
        if self._service is not None:
            self._service.ring(runs)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._starting = self._loop.create_task(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        service = self._build()
        while self._stopping is None:
            try:
                await service.start()
            except (DatabaseAway, CommitRefused) as error:
                log.warning("worker.start_failed", reason=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                self._service = service
                _freeze_heap()
                return

    async def _stop(self) -> None:
        self._starting.cancel()
        if self._service is not None:
            await self._service.stop()


def _freeze_heap() -> None:
    """Keep the collector off what stays: walking LangGraph's heap stops the loop for 50 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except (ValueError, AttributeError, TypeError):
        return None
