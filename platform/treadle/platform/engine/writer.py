"""The one writer of a process: it commits the pending writes of all its runs together.

While one commit is under way the next gathers. What nobody waits for lingers a little, so that it
travels with something else.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from treadle.agents.errors import LeaseLost
from treadle.platform.engine import statements
from treadle.platform.engine.arrays import array
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.entries import Entry
from treadle.platform.engine.errors import CommitRefused, DatabaseAway
from treadle.platform.engine.leases import Commit, Lease, Release, RunStatus
from treadle.platform.log import get_log
from treadle.platform.loops import keep_going

LINGER_S = 0.004
START_LINGER_S = 0.05
"""How long an entry that only says that a step began may wait for company: if the step is over
before that, its result takes it along, and it costs no commit of its own."""
MOST_RUNS = 256
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """A commit that was carried out, and when by the database's clock."""

    id: UUID
    at: datetime
    status: str = RunStatus.RUNNING.value


@dataclass(frozen=True, slots=True)
class Committed:
    """What is told to those who watch a run."""

    commit: Commit
    at: datetime


class LogWriter:
    """Commits for every lease of this process.

    Args:
        connection: Its own; nobody else may use it.
        on_committed: Hears of every batch after it is committed; must not raise.
    """

    def __init__(
        self,
        connection: EngineConnection,
        *,
        on_committed: Callable[[Sequence[Committed]], None],
        linger_s: float = LINGER_S,
    ) -> None:
        self._connection = connection
        self._on_committed = on_committed
        self._linger_s = linger_s
        self._touched: dict[Lease, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to commit, on the running loop."""
        self._task = keep_going(self._work, name="log-writer")

    async def stop(self) -> None:
        """Stop; what is not committed by now never will be. `flush` comes first."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._connection.close()

    async def flush(self) -> None:
        """Return when nothing is pending."""
        self._due.set()
        await self._idle.wait()

    def append(self, lease: Lease, *entries: Entry) -> None:
        """Commit these soon. A run that is not claimed yet is written at its end alone."""
        lease.append(*entries)
        if not lease.claims:
            self._touch(lease)
            is_result = any(entry.is_result for entry in entries)
            self._come_due(self._linger_s if is_result else START_LINGER_S)

    async def settle(self, lease: Lease) -> None:
        """Return when every result appended so far is committed; raises `LeaseLost`."""
        if lease.failure is None and lease.is_settled:
            return
        self._touch(lease)
        self._due.set()
        await lease.settled()

    async def release(self, lease: Lease, release: Release, *entries: Entry) -> None:
        """Write the last of a lease; raises `LeaseLost` if somebody else owns the run."""
        lease.release(release, *entries)
        await self.settle(lease)

    def _come_due(self, in_s: float) -> None:
        if self._due.is_set():
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + in_s
        if self._timer is not None:
            if self._due_at <= when:
                return
            self._timer.cancel()
        # Not asked of the timer: for a time that is here uvloop gives one that does not know it.
        self._due_at = when
        self._timer = loop.call_at(when, self._due.set)

    def _touch(self, lease: Lease) -> None:
        self._touched[lease] = None
        self._idle.clear()

    async def _work(self) -> None:
        while True:
            await self._due.wait()
            batch = self._gather()
            if batch:
                await self._carry_out(batch)
            if not self._touched:
                self._idle.set()

    def _gather(self) -> list[Commit]:
        leases = list(self._touched)[:MOST_RUNS]
        for lease in leases:
            del self._touched[lease]
        if not self._touched:
            self._due.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        commits = [commit for lease in leases if (commit := lease.take()) is not None]
        # One order for all processes, so that two of them never wait for each other's rows.
        return sorted(commits, key=lambda commit: commit.lease.run)

    async def _carry_out(self, batch: Sequence[Commit]) -> None:
        try:
            done = await self._write(batch)
        except Exception as error:  # refused, or a fault of ours: no run waits for ever
            if len(batch) == 1:
                log.exception("commit.refused", run_id=str(batch[0].lease.run))
                is_refused = isinstance(error, CommitRefused)
                batch[0].lease.fail(error if is_refused else CommitRefused(repr(error)))
                return
            for commit in batch:  # one bad write must not fail the others
                await self._carry_out([commit])
        else:
            self._conclude(batch, done)

    def _conclude(self, batch: Sequence[Commit], done: Mapping[UUID, Done]) -> None:
        committed: list[Committed] = []
        for commit in batch:
            row = done.get(commit.lease.run)
            if row is None:
                commit.lease.fail(LeaseLost(f"run {commit.lease.run} belongs to somebody else"))
            else:
                commit.lease.left_as = RunStatus(row.status)
                commit.lease.committed(commit)
                committed.append(Committed(commit, row.at))
        self._on_committed(committed)

    async def _write(self, batch: Sequence[Commit]) -> dict[UUID, Done]:
        """Write until the database says what became of it. A second try is guarded as the first."""
        failures = 0
        while True:
            try:
                await self._put_values(batch)
                rows = await self._connection.fetch(*_statement(batch), row=class_row(Done))
                done = {row.id: row for row in rows}
                if failures and len(done) < len(batch):
                    done |= await self._carried_out(batch)
            except DatabaseAway as away:
                log.warning("commit.unknown", reason=str(away), runs=len(batch))
                await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
            else:
                return done

    async def _put_values(self, batch: Sequence[Commit]) -> None:
        large = [(commit.lease, value) for commit in batch for value in commit.large]
        if large:
            arrays = (
                [lease.run for lease, _ in large],
                [lease.workspace for lease, _ in large],
                [value.ref for _, value in large],
                [value.content for _, value in large],
            )
            await self._connection.execute(statements.PUT_VALUES, arrays)

    async def _carried_out(self, batch: Sequence[Commit]) -> dict[UUID, Done]:
        arrays = (
            [commit.lease.run for commit in batch],
            [commit.epoch_after for commit in batch],
            [commit.seq_after for commit in batch],
        )
        rows = await self._connection.fetch(statements.CARRIED_OUT, arrays, row=class_row(Done))
        return {row.id: row for row in rows}


_GOES_ON = Release(RunStatus.RUNNING)


def _statement(batch: Sequence[Commit]) -> tuple[LiteralString, tuple[str, ...]]:
    opens = [commit.opens for commit in batch]
    closes = [commit.closes for commit in batch]
    if not (any(opens) or any(closes)):
        return statements.COMMIT, _arrays(batch)
    rows = array(f"[{','.join(one)}]" for one in opens)
    ids = array(json.dumps(one) for one in closes)
    return statements.COMMIT_WAITS, (*_arrays(batch), rows, ids)


def _arrays(batch: Sequence[Commit]) -> tuple[str, ...]:
    releases = [commit.release or _GOES_ON for commit in batch]
    return (
        array(commit.lease.run for commit in batch),
        array(commit.epoch for commit in batch),
        array(commit.epoch_after for commit in batch),
        array(commit.seq for commit in batch),
        array(commit.seq_after for commit in batch),
        array("queued" if commit.claims else "running" for commit in batch),
        array(release.status.value for release in releases),
        array(any(entry.is_progress for entry in commit.entries) for commit in batch),
        array(release.wake_at for release in releases),
        array(release.outputs for release in releases),
        array(release.error for release in releases),
        array(f"[{','.join(entry.text for entry in commit.entries)}]" for commit in batch),
        array(commit.lease.parks_at for commit in batch),
        array(commit.usage for commit in batch),
    )
