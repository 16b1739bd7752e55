"""The interpreter's journal over one lease."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from treadle.agents.ports import FINISHED, StepRecord, StepStatus
from treadle.platform.engine.entries import step_entry
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.inbox import Inbox
from treadle.platform.engine.leases import Lease
from treadle.platform.engine.writer import LogWriter
from treadle.platform.metrics.records import observe_records

Place: TypeAlias = tuple[str, str | None]
Ledger: TypeAlias = Mapping[Place, StepRecord]
"""The last entry of every place, by path and call."""


def has_waits(ledger: Ledger) -> bool:
    """Whether something may have come for the run while it was parked."""
    return any(record.status is StepStatus.WAITING for record in ledger.values())


def fold_ledger(records: list[StepRecord]) -> dict[Place, StepRecord]:
    """The last entry at a place counts; one that is not finished takes an earlier one back."""
    return {(record.path, record.call): record for record in records}


class Trace(Protocol):
    """What makes spans of records."""

    def observe(self, records: Sequence[StepRecord]) -> None:
        """See what was entered."""
        ...


class RunJournal:
    """One run's ledger for as long as its lease holds.

    `on_step` is called with a step's path before any entry of it, and may raise `Blocked`.

    Args:
        ledger: How far the run was when it was claimed.
        on_delta: Takes pieces of model answers: run, an entry of the step, text.
        inbox: What came for the run from outside.
        on_started: Takes the runs that it has just started.
        trace: Sees every record.
    """

    def __init__(
        self,
        lease: Lease,
        writer: LogWriter,
        *,
        ledger: Ledger,
        on_delta: Callable[[RunId, StepRecord, str], None],
        inbox: Inbox | None = None,
        on_started: Callable[[Sequence[RunId]], None] | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.inbox = inbox or Inbox()
        self.on_step: Callable[[str], None] | None = None
        self._on_started = on_started
        self._trace = trace
        self._lease = lease
        self._writer = writer
        self._ledger = ledger
        self._on_delta = on_delta

    def finished(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """See `Journal`."""
        entry = self._ledger.get((path, call))
        return entry if entry is not None and entry.status in FINISHED else None

    def earlier(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """See `Journal`."""
        return self._ledger.get((path, call))

    def append(self, *records: StepRecord) -> None:
        """See `Journal`."""
        if self.on_step is not None:
            for record in records:
                if record.call is None:
                    self.on_step(record.path)
        observe_records(records)
        if self._trace is not None:
            self._trace.observe(records)
        self._writer.append(self._lease, *(step_entry(record) for record in records))

    async def durable(self) -> None:
        """See `Journal`. An entry that only says that a step began is waited for by nobody."""
        await self._writer.settle(self._lease)

    @property
    def records(self) -> Iterable[StepRecord]:
        """What earlier owners left: the last entry of every place."""
        return self._ledger.values()

    @property
    def epoch(self) -> int:
        """Of the lease under which it writes."""
        return self._lease.epoch

    def started(self, runs: Sequence[RunId]) -> None:
        """Ring for runs that this one has started."""
        if self._on_started is not None and runs:
            self._on_started(runs)

    def delta(self, step: StepRecord, text: str) -> None:
        """See `Journal`."""
        self._on_delta(self._lease.run, step, text)
