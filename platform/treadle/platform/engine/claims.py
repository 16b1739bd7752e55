"""Claiming: how a queued run becomes this process's own."""

import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine import statements
from treadle.platform.engine.arrays import array
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.entries import is_ledger, large_ref, read_step
from treadle.platform.engine.errors import DatabaseAway
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.inbox import Letters, fetch_letters
from treadle.platform.engine.journal import Ledger, fold_ledger
from treadle.platform.engine.leases import Lease
from treadle.platform.engine.turns import ANY_PRIORITY, LOCK, UNLOCK, WITHIN_LIMITS

MOST_CRASHES = 3
"""In a row, without a finished step between them: then a run is taken for poison."""
SUSPECT = MOST_CRASHES - 1
"""After so many a worker runs it beside no other suspect: when it dies, one of them is to blame."""


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run as it stands in its row; `epoch` and `seq` are those after the claim."""

    id: RunId
    workspace_id: WorkspaceId
    root_id: UUID
    template: str
    version: str
    sha256: bytes
    trigger: str
    owner: str
    settings: JsonObject
    connections: dict[str, str]
    is_pure: bool
    epoch: int
    seq: int
    inputs: JsonObject
    started_at: datetime
    rung_at: datetime
    traceparent: str | None
    at: datetime
    parent_id: UUID | None = None
    frame: str = ""
    children: JsonObject | None = None
    signals: int = 0
    is_paused: bool = False
    crashes: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether one more crash quarantines it."""
        return self.crashes >= SUSPECT

    def lease(self) -> Lease:
        """The right to write it."""
        return Lease(
            self.id,
            self.workspace_id,
            epoch=self.epoch,
            seq=self.seq,
            claims=self.is_pure,
            signals=self.signals,
        )


@dataclass(frozen=True, slots=True)
class _Id:
    id: RunId


@dataclass(frozen=True, slots=True)
class _LogRow:
    run_id: RunId
    entry: JsonObject


@dataclass(frozen=True, slots=True)
class _Value:
    ref: str
    content: str


class Claims:
    """The claiming side of a worker; one connection, so claims never overlap."""

    def __init__(self, connection: EngineConnection, *, worker: str) -> None:
        self._connection = connection
        self._worker = worker

    async def take(
        self,
        runs: Sequence[RunId],
        *,
        least_priority: int = ANY_PRIORITY,
        are_limited: bool = False,
        may_try: bool = True,
    ) -> list[ClaimedRun]:
        """Claim those that are queued and due; the others are somebody else's business.

        Less urgent ones than `least_priority` are left, and if `are_limited` those over a limit.
        Of suspects the first is claimed, and none unless one `may_try` them.
        """
        if not are_limited:
            return await self._take(runs, least_priority, may_try=may_try)
        await self._connection.execute(LOCK)
        try:
            fitting = await self._connection.fetch(
                WITHIN_LIMITS, {"runs": list(runs)}, row=class_row(_Id)
            )
            fit = [run.id for run in fitting]
            return await self._take(fit, least_priority, may_try=may_try)
        finally:
            # A connection that broke has lost the lock with its session.
            with suppress(DatabaseAway):
                await self._connection.execute(UNLOCK)

    async def _take(
        self, runs: Sequence[RunId], least_priority: int, *, may_try: bool
    ) -> list[ClaimedRun]:
        parameters = {
            "runs": array(runs),
            "worker": self._worker,
            "least": least_priority,
            "suspect": SUSPECT,
            "may_try": may_try,
        }
        return await self._connection.fetch(statements.TAKE, parameters, row=class_row(ClaimedRun))

    async def letters(self, runs: Sequence[RunId]) -> list[Letters]:
        """What came for these runs while nobody had them."""
        return await fetch_letters(self._connection, runs, seen=[-1] * len(runs))

    async def ledgers(self, runs: Sequence[RunId]) -> dict[RunId, Ledger]:
        """What these runs have finished, large outputs loaded."""
        rows = await self._connection.fetch(
            statements.LEDGERS, (list(runs),), row=class_row(_LogRow)
        )
        rows = [row for row in rows if is_ledger(row.entry)]
        refs = {ref for row in rows if (ref := large_ref(row.entry)) is not None}
        values = await self._values(runs, refs) if refs else {}
        entries: defaultdict[RunId, list[JsonObject]] = defaultdict(list)
        for row in rows:
            entries[row.run_id].append(row.entry)
        return {
            run: fold_ledger([read_step(entry, values) for entry in entries[run]]) for run in runs
        }

    async def _values(self, runs: Sequence[RunId], refs: set[str]) -> dict[str, JsonValue]:
        rows = await self._connection.fetch(
            statements.VALUES, (list(runs), list(refs)), row=class_row(_Value)
        )
        return {row.ref: json.loads(row.content) for row in rows}
