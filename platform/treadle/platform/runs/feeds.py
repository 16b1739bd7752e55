"""Following runs from any API process: hints say when to look, the log says what happened."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from psycopg.rows import class_row

from treadle.agents.values import JsonValue
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.broadcast import Listener
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.entries import expanded
from treadle.platform.engine.errors import DatabaseAway
from treadle.platform.engine.hints import COMMITS, Hint, read_hints
from treadle.platform.engine.ids import RunId
from treadle.platform.log import get_log
from treadle.platform.loops import keep_going
from treadle.platform.runs.repository import read_log
from treadle.platform.runs.views import LogRow

POLL_S = 2.0
"""How long news may be late whose hint was lost."""
_MOST_HINTS = 64
_MOVED = """
SELECT r.id, r.finished_at IS NOT NULL AS has_ended
FROM unnest(%s::uuid[], %s::int[]) AS u (id, after) JOIN runs r ON r.id = u.id
WHERE r.seq > u.after
"""

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class _Moved:
    id: RunId
    has_ended: bool


class Watch:
    """What one follower has been told of its run and has not looked at yet.

    Attributes:
        outputs: Those of the run's end, if a hint brought them.
        after: The place in the log up to which its follower has read.

    Args:
        is_patient: The follower wants the run's end and is not woken for less.
    """

    def __init__(self, *, is_patient: bool = False) -> None:
        self.outputs: JsonValue = None
        self.after = 0
        self._is_patient = is_patient
        self._hints: deque[Hint] = deque(maxlen=_MOST_HINTS)
        self._news = asyncio.Event()

    def tell(self, hint: Hint) -> None:
        """Something was committed."""
        self._hints.append(hint)
        may_be_end = hint.entries is None or hint.is_end
        if may_be_end or not self._is_patient or len(self._hints) == _MOST_HINTS:
            self._news.set()

    def stir(self, *, has_ended: bool) -> None:
        """Something was committed of which no hint may have come."""
        if has_ended or not self._is_patient:
            self._news.set()

    async def wait(self) -> None:
        """Return at the next news."""
        await self._news.wait()

    def take(self, position: int) -> list[LogRow] | None:
        """The rows that follow a position, if the hints have them all; else `None`."""
        hints, rows = list(self._hints), list[LogRow]()
        self._hints.clear()
        self._news.clear()
        for hint in hints:
            if hint.entries is None or hint.seq > position + len(rows):
                return None
            new = enumerate(hint.entries, start=hint.seq + 1)
            after = position + len(rows)
            rows += [LogRow(seq, hint.at, expanded(one)) for seq, one in new if seq > after]
            self.outputs = hint.outputs
        return rows or None


class Feeds:
    """All followers of this process.

    Args:
        polling: Its own; asks for all followed runs at once whether they have moved.
        listener: `None` without a broker: all news are found by asking.
        on_heard: Called with each run that a worker did something with.
    """

    def __init__(
        self,
        database: Database,
        polling: EngineConnection,
        listener: Listener | None,
        *,
        on_heard: Callable[[RunId], None],
    ) -> None:
        self._database = database
        self._polling = polling
        self._task: asyncio.Task[None] | None = None
        self._on_heard = on_heard
        self._watches: defaultdict[RunId, list[Watch]] = defaultdict(list)
        if listener is not None:
            listener.hear(COMMITS, self._hear)

    def start(self) -> None:
        """Begin to ask for news, on the running loop."""
        self._task = keep_going(self._poll, name="feeds")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._polling.close()

    @contextmanager
    def watch(self, run: RunId, *, is_patient: bool = False) -> Generator[Watch]:
        """Be told of a run from here on; `is_patient` as `Watch` says."""
        watch = Watch(is_patient=is_patient)
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
        """A run's log after a seq, until its end, in batches that may be empty.

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
        """What comes next in a log; empty if there was less news than was thought."""
        watch.after = after
        await watch.wait()
        told = watch.take(after)
        return await self.read(run, workspace, after=after) if told is None else told

    async def read(self, run: RunId, workspace: WorkspaceId, *, after: int) -> list[LogRow]:
        """The log itself."""
        async with self._database.tenant(workspace) as tx:
            return await read_log(tx, run, after=after)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            after = {run: min(one.after for one in all_) for run, all_ in self._watches.items()}
            if not after:
                continue
            try:
                moved = await self._polling.fetch(
                    _MOVED, (list(after), list(after.values())), row=class_row(_Moved)
                )
            except DatabaseAway as away:
                log.warning("feeds.blind", reason=str(away))
                continue
            for row in moved:
                for watch in self._watches.get(row.id, ()):
                    watch.stir(has_ended=row.has_ended)

    def _hear(self, message: bytes) -> None:
        for hint in read_hints(message):
            self._on_heard(hint.run)
            for watch in self._watches.get(hint.run, ()):
                watch.tell(hint)
