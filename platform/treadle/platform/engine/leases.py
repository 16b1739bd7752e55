"""A run as the one process that owns it sees it: what is committed, and what is still to be."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from treadle.agents.errors import LeaseLost
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.entries import Entry, LargeValue
from treadle.platform.engine.ids import RunId
from treadle.platform.usage.tally import Tally


class RunStatus(StrEnum):
    """Fixed by the contract."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Release:
    """The last write of a lease: what becomes of the run. `outputs` and `error` are JSON."""

    status: RunStatus
    outputs: str | None = None
    error: str | None = None
    wake_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """One guarded write: entries `seq + 1 …` of a run, if it still has this epoch and seq.

    Attributes:
        claims: Whether it also claims the run, which is still queued (runs of pure nodes).
        results: How many results of the lease are committed with it and before it.
        usage: What it adds to `/v1/usage`, as JSON; see `Tally`.
    """

    lease: "Lease"
    epoch: int
    seq: int
    claims: bool
    entries: tuple[Entry, ...]
    release: Release | None
    results: int
    usage: str | None = None

    @property
    def seq_after(self) -> int:
        """Length of the run's log after it."""
        return self.seq + len(self.entries)

    @property
    def epoch_after(self) -> int:
        """The run's epoch after it."""
        return self.epoch + self.claims

    @property
    def opens(self) -> list[str]:
        """Rows of waits that begin with it; one that ends with it too is not worth a row."""
        closed = set(self.closes)
        rows = [entry.opens for entry in self.entries if entry.opens is not None]
        return [row for row in rows if json.loads(row)["id"] not in closed]

    @property
    def closes(self) -> list[str]:
        """Ids of waits that end with it."""
        return [entry.closes for entry in self.entries if entry.closes is not None]

    @property
    def large(self) -> list[LargeValue]:
        """Outputs to store before it."""
        return [entry.large for entry in self.entries if entry.large is not None]


class Lease:
    """Ownership of one run. Only the writer commits; everybody else appends and waits.

    Attributes:
        epoch: The fencing token all writes name.
        seq: Length of the log as far as it is committed.
        claims: The run is still queued: the first write claims it.
        signals: How many signals for the run have been seen here.
        parks_at: How many there may be for the run to park: those that were seen before it began.
            One that came while it worked may have found nobody listening any more.
        left_as: What the database made of it when it was released.
        on_lost: Called once when a write was refused because somebody else owns the run now.
    """

    def __init__(
        self,
        run: RunId,
        workspace: WorkspaceId,
        *,
        epoch: int,
        seq: int,
        claims: bool = False,
        signals: int = 0,
    ) -> None:
        self.run = run
        self.workspace = workspace
        self.epoch = epoch
        self.seq = seq
        self.claims = claims
        self.signals = signals
        self.parks_at = signals
        self.left_as: RunStatus | None = None
        self.on_lost: Callable[[], None] | None = None
        self.failure: Exception | None = None
        self._entries: list[Entry] = []
        self._begun: dict[str, Entry] = {}
        self._release: Release | None = None
        self._appended = 0
        self._committed = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._tally = Tally()

    def append(self, *entries: Entry) -> None:
        """Add entries to the next commit; what follows a release or a loss goes nowhere.

        That a step began is not written where the same commit says how it ended.
        """
        if self.failure is None and self._release is None:
            for entry in entries:
                self._add(entry)
            self._tally.add(entry.count for entry in entries)
            self._appended += sum(entry.is_result for entry in entries)

    def _add(self, entry: Entry) -> None:
        begun = None if entry.ends is None else self._begun.pop(entry.ends, None)
        if begun is not None:
            self._entries.remove(begun)
        if entry.begins is not None:
            self._begun[entry.begins] = entry
        self._entries.append(entry)

    def release(self, release: Release, *entries: Entry) -> None:
        """Make the next commit the last."""
        self.append(*entries)
        self._appended += 1
        self._release = release

    @property
    def is_settled(self) -> bool:
        """Whether every result is committed."""
        return self._committed >= self._appended

    def settled(self) -> asyncio.Future[None]:
        """A future that ends when all that is a result by now is committed, or with `LeaseLost`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
        elif self.is_settled:
            future.set_result(None)
        else:
            self._waiters.append((self._appended, future))
        return future

    def take(self) -> Commit | None:
        """Everything pending as one commit; `None` if there is nothing or the lease is over."""
        if self.failure is not None or not (self._entries or self._release):
            return None
        entries, self._entries = tuple(self._entries), []
        self._begun.clear()
        release = self._release
        return Commit(
            self,
            self.epoch,
            self.seq,
            self.claims,
            entries,
            release,
            self._appended,
            usage=self._tally.drain(
                is_release=release is not None,
                is_end=release is not None and release.status in ENDED,
            ),
        )

    def committed(self, commit: Commit) -> None:
        """Note that a commit was carried out, and wake who waited for it."""
        self.epoch, self.seq, self.claims = commit.epoch_after, commit.seq_after, False
        self._committed = commit.results
        if commit.release is not None:
            self._release = None
            self.failure = LeaseLost(f"run {self.run} was released")
        for target, future in self._waiters:
            if target <= commit.results and not future.done():
                future.set_result(None)
        self._waiters = [item for item in self._waiters if not item[1].done()]

    def fail(self, failure: Exception) -> None:
        """Note that nothing can be written any more, and tell who waits."""
        if self.failure is not None:
            return
        self.failure = failure
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(failure)
        self._waiters.clear()
        if self.on_lost is not None:
            self.on_lost()
