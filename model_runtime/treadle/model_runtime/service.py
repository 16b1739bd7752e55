"""The engine behind asyncio: one thread steps it, coroutines wait for their request's progress."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from treadle.model_runtime.engine import Engine, EngineCounts
from treadle.model_runtime.errors import EngineStopped, RequestError
from treadle.model_runtime.request import Progress, Request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the engine is."""

    running: int
    waiting: int
    free_blocks: int
    blocks: int
    preemptions: int
    counts: EngineCounts


@dataclass(frozen=True, slots=True)
class _Listener:
    """A coroutine that waits for a request's progress, or for the error that refused it."""

    loop: asyncio.AbstractEventLoop
    arrived: asyncio.Queue[Progress | RequestError]


class EngineService:
    """Runs an engine in a thread of its own, from `start` to `stop`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commands: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._listeners: dict[str, _Listener] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._stopped = False
        # Held while a command is put and while the end is declared: none may slip in between.
        self._gate = threading.Lock()

    @property
    def longest(self) -> int:
        """Tokens that a prompt and its answer may have together."""
        return self._engine.longest

    @property
    def alive(self) -> bool:
        """Whether requests can be served."""
        return self._thread.is_alive() and not self._stopped

    def check_room(self) -> None:
        """Raise `Overloaded` now, while an error still has a status line of its own."""
        self._engine.check_room()

    def load(self) -> Load:
        """A glance at the engine; values may be a step apart."""
        engine = self._engine
        return Load(
            running=len(engine.scheduler.running),
            waiting=engine.scheduler.waiting,
            free_blocks=engine.pool.free,
            blocks=engine.pool.size,
            preemptions=engine.scheduler.preemptions,
            counts=engine.counts,
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """End the thread after its current step; those who still wait get `EngineStopped`."""
        self._commands.put(None)
        await asyncio.to_thread(self._thread.join)

    async def stream(self, request: Request) -> AsyncGenerator[Progress]:
        """A request's progress up to its end; leaving early cancels it and frees its blocks.

        Raises:
            TooLong, Overloaded: The engine refuses it.
            EngineStopped: The engine ended first.
        """
        listener = _Listener(asyncio.get_running_loop(), asyncio.Queue())
        with self._gate:
            if not self.alive:
                raise EngineStopped
            self._commands.put(lambda: self._submit(request, listener))
        try:
            while True:
                item = await listener.arrived.get()
                if isinstance(item, RequestError):
                    raise item
                yield item
                if item.finish is not None:
                    return
        finally:
            self._commands.put(lambda: self._forget(request.id))

    def _submit(self, request: Request, listener: _Listener) -> None:
        try:
            self._engine.submit(request)
        except RequestError as error:
            _tell(listener, error)
        else:
            self._listeners[request.id] = listener

    def _forget(self, request_id: str) -> None:
        self._listeners.pop(request_id, None)
        self._engine.cancel(request_id)

    def _run(self) -> None:
        try:
            while self._obey():
                for progress in self._engine.step():
                    _tell(self._listeners[progress.id], progress)
        # The edge of the thread: whatever went wrong, nobody may wait for ever.
        except Exception:
            log.exception("engine.failed")
        finally:
            with self._gate:
                self._stopped = True
            self._refuse_all()

    def _obey(self) -> bool:
        """Carry out what was asked since the last step; wait if there is nothing to compute."""
        while True:
            try:
                command = self._commands.get(block=self._engine.idle)
            except Empty:
                return True
            if command is None:
                return False
            command()

    def _refuse_all(self) -> None:
        while not self._commands.empty():
            if (command := self._commands.get()) is not None:
                command()
        for listener in self._listeners.values():
            _tell(listener, EngineStopped())


def _tell(listener: _Listener, item: Progress | RequestError) -> None:
    """Hand over to the listener's loop, if it still runs."""
    if not listener.loop.is_closed():
        listener.loop.call_soon_threadsafe(listener.arrived.put_nowait, item)
