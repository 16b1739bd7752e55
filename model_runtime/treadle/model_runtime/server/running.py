"""One client's requests on their way through the engine, and what comes of them in one place."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from time import monotonic

from treadle.model_runtime.errors import RequestError
from treadle.model_runtime.request import Progress, Request, Usage
from treadle.model_runtime.server.timing import Timing
from treadle.model_runtime.server.tracing import present
from treadle.model_runtime.service import EngineService

Placed = tuple[int, Progress]
SILENCE_S = 10.0


class Running:
    """Requests in groups of one prompt each, answered together.

    Of several answers to one prompt the others begin when the first has read it: they find its
    blocks in the cache. Leaving the context cancels what has not ended.
    """

    def __init__(
        self, service: EngineService, groups: Sequence[Sequence[Request]], timing: Timing
    ) -> None:
        self._service, self._timing = service, timing
        self._groups = groups
        self._open: dict[int, Request] = {}  # asked for, and not ended
        self._left = sum(len(group) for group in groups)
        self._arrived: list[Placed] = []
        self._refusal: RequestError | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self._was_silent = False
        # One timer for the whole request: one per wait costs as much as the wait.
        self._timer = self._loop.call_later(SILENCE_S, self._tick)
        self._before: dict[int, float] = {}  # the time of each one's last step
        self._usages: dict[int, Usage] = {}
        self._span = present.get()

    def __enter__(self) -> "Running":
        place = 0
        for group in self._groups:
            numbered = list(enumerate(group, start=place))
            place += len(group)
            self._begin(*numbered[0], others=numbered[1:])
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for request in self._open.values():
            self._service.leave(request.id)
        self._open.clear()
        if self._span is not None:
            usages = self._usages.values()
            self._span.note("gen_ai.usage.input_tokens", sum(item.prompt for item in usages))
            self._span.note("gen_ai.usage.output_tokens", sum(item.completion for item in usages))
            self._span.note("gen_ai.usage.cached_tokens", sum(item.cached for item in usages))

    async def progress(self) -> AsyncGenerator[Sequence[Placed]]:
        """All that came since the last look, up to the end; nothing at all after a long silence.

        Raises:
            RequestError: The engine refuses a request, or has ended.
        """
        while self._left or self._arrived:
            yield await self._next()

    async def _next(self) -> Sequence[Placed]:
        if not self._arrived and self._refusal is None:
            self._waiting = self._loop.create_future()
            await self._waiting
        if self._refusal is not None:
            raise self._refusal
        found, self._arrived = self._arrived, []
        return found

    def _tick(self) -> None:
        """Wake whoever waits, if nothing has come since the last time."""
        if self._was_silent:
            self._wake()
        self._was_silent = True
        self._timer = self._loop.call_later(SILENCE_S, self._tick)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _begin(self, place: int, request: Request, others: Sequence[tuple[int, Request]]) -> None:
        self._open[place] = request
        self._before[place] = monotonic()
        self._service.subscribe(request, partial(self._take, place, list(others)))

    def _take(
        self, place: int, others: list[tuple[int, Request]], item: Progress | RequestError
    ) -> None:
        """Called by the service, on this loop."""
        self._was_silent = False
        self._wake()
        if isinstance(item, RequestError):
            self._refusal = item
            return
        if (request := self._open.get(place)) is None:
            return
        self._arrived.append((place, item))
        if self._span is not None and not self._usages:
            self._span.mark("first_token")
        self._usages[place] = item.usage
        if not request.background:
            self._measure(place, is_first=len(item.choices) == item.usage.completion)
        if item.finish is not None:
            self._left -= 1
            del self._open[place]
            self._service.leave(request.id)
        try:
            while others:
                self._begin(*others.pop(0), others=())
        except RequestError as error:
            self._refusal = error

    def _measure(self, place: int, *, is_first: bool) -> None:
        now = monotonic()
        measure = self._timing.first_token if is_first else self._timing.between_tokens
        measure.observe(now - self._before[place])
        self._before[place] = now
