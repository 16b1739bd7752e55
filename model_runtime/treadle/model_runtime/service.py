"""The engine behind asyncio: one thread steps it, coroutines wait for their request's progress."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
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


Arrived = Callable[[Progress | RequestError], None]
"""Takes a request's progress, or the error that refused it; called on the subscriber's loop."""


@dataclass(frozen=True, slots=True)
class _Listener:
    """Who is told, and on which loop."""

    loop: asyncio.AbstractEventLoop
    arrived: Arrived


_Told = tuple[_Listener, Progress | RequestError]


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
        arrived: asyncio.Queue[Progress | RequestError] = asyncio.Queue()
        self.subscribe(request, arrived.put_nowait)
        try:
            while True:
                item = await arrived.get()
                if isinstance(item, RequestError):
                    raise item
                yield item
                if item.finish is not None:
                    return
        finally:
            self.leave(request.id)

    def subscribe(self, request: Request, arrived: Arrived) -> None:
        """Begin a request; what comes of it is told on this loop, all of a step in one go.

        Raises:
            EngineStopped: The engine has ended.
        """
        listener = _Listener(asyncio.get_running_loop(), arrived)
        with self._gate:
            if not self.alive:
                raise EngineStopped
            self._commands.put(lambda: self._submit(request, listener))

    def leave(self, request_id: str) -> None:
        """End a request before the next step, if it has not ended; its blocks are free then."""
        self._commands.put(lambda: self._forget(request_id))

    def _submit(self, request: Request, listener: _Listener) -> None:
        try:
            self._engine.submit(request)
        except RequestError as error:
            _tell([(listener, error)])
        else:
            self._listeners[request.id] = listener

    def _forget(self, request_id: str) -> None:
        self._listeners.pop(request_id, None)
        self._engine.cancel(request_id)

    def _run(self) -> None:
        try:
            while self._obey():
                _tell([(self._listeners[item.id], item) for item in self._engine.step()])
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
        _tell([(listener, EngineStopped()) for listener in self._listeners.values()])


def _tell(items: Sequence[_Told]) -> None:
    """Hand over to the listeners' loops, each woken once, if they still run."""
    for loop in {listener.loop for listener, _ in items}:
        if not loop.is_closed():
            mine = [item for item in items if item[0].loop is loop]
            loop.call_soon_threadsafe(_deliver, mine)


def _deliver(items: Sequence[_Told]) -> None:
    for listener, item in items:
        listener.arrived(item)
