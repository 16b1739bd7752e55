"""Following runs from any API process: hints say when to look, the log says what happened."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager

from treadle.agents.values import JsonValue
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.broadcast import Listener
from treadle.platform.engine.hints import COMMITS, Hint, read_hints
from treadle.platform.engine.ids import RunId
from treadle.platform.runs.repository import read_log
from treadle.platform.runs.views import LogRow

POLL_S = 2.0
_MOST_HINTS = 64


class Watch:
    """What one follower has been told of its run and has not looked at yet.

    Attributes:
        outputs: Those of the run's end, if a hint brought them.
    """

    def __init__(self) -> None:
        self.outputs: JsonValue = None
        self._hints: deque[Hint] = deque(maxlen=_MOST_HINTS)
        self._news = asyncio.Event()

    def tell(self, hint: Hint) -> None:
        """Something was committed."""
        self._hints.append(hint)
        self._news.set()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next news, or when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    def take(self, position: int) -> list[LogRow] | None:
        """The rows that follow a position, if the hints have them all; else `None`."""
        hints, rows = list(self._hints), list[LogRow]()
        self._hints.clear()
        self._news.clear()
        for hint in hints:
            if hint.entries is None or hint.seq > position + len(rows):
                return None
            new = enumerate(hint.entries, start=hint.seq + 1)
            rows += [LogRow(s, hint.at, entry) for s, entry in new if s > position + len(rows)]
            self.outputs = hint.outputs
        return rows or None


class Feeds:
    """All followers of this process.

    Args:
        listener: `None` without a broker: everybody polls.
        on_heard: Called with each run that a worker did something with.
    """

    def __init__(
        self, database: Database, listener: Listener | None, *, on_heard: Callable[[RunId], None]
    ) -> None:
        self._database = database
        self._on_heard = on_heard
        self._watches: defaultdict[RunId, list[Watch]] = defaultdict(list)
        if listener is not None:
            listener.hear(COMMITS, self._hear)

    @contextmanager
    def watch(self, run: RunId) -> Generator[Watch]:
        """Be told of a run from here on."""
        watch = Watch()
        self._watches[run].append(watch)
        try:
            yield watch
        finally:
            self._watches[run].remove(watch)
            if not self._watches[run]:
                del self._watches[run]

    async def follow(
        self, run: RunId, workspace: WorkspaceId, *, after: int, has_ended: bool
    ) -> AsyncIterator[Sequence[LogRow]]:
        """A run's log after a seq, until its end; an empty batch when nothing came for a while.

        Of a run that `has_ended` already, what is there now is all there will be.
        """
        with self.watch(run) as watch:
            rows = await self.read(run, workspace, after=after)
            while True:
                yield rows
                if rows:
                    after = rows[-1].seq
                    if rows[-1].is_end:
                        return
                elif has_ended:
                    return
                rows = await self.next(watch, run, workspace, after=after)

    async def next(
        self, watch: Watch, run: RunId, workspace: WorkspaceId, *, after: int
    ) -> list[LogRow]:
        """What comes next in a log; empty if nothing does for a while."""
        await watch.wait(POLL_S)
        told = watch.take(after)
        return await self.read(run, workspace, after=after) if told is None else told

    async def read(self, run: RunId, workspace: WorkspaceId, *, after: int) -> list[LogRow]:
        """The log itself."""
        async with self._database.tenant(workspace) as tx:
            return await read_log(tx, run, after=after)

    def _hear(self, message: bytes) -> None:
        for hint in read_hints(message):
            self._on_heard(hint.run)
            for watch in self._watches.get(hint.run, ()):
                watch.tell(hint)
