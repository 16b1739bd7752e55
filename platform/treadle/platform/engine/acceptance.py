"""Acceptance: new runs of many requests, inserted together. A run is accepted once it is here."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from treadle.agents.values import JsonObject
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine import statements
from treadle.platform.engine.arrays import array
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.entries import dump
from treadle.platform.engine.errors import DatabaseAway, KeyTaken
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.writer import Done
from treadle.platform.idempotency.repository import KeyedAnswer
from treadle.platform.loops import keep_going

MOST_RUNS = 256
_TRIES = 3
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be accepted; checked before, complete.

    Attributes:
        sha256: Of the template's text, which is stored already.
        connections: Logical names to connection ids.
        wake_at: Not before this.
        children: Which templates its `template:` nodes mean (`engine.families`).
        answer: With an idempotency key: what to store beside the run.
    """

    id: RunId
    workspace: WorkspaceId
    root_id: UUID
    agent_id: UUID | None
    agent: str | None
    template: str
    version: str
    sha256: bytes
    trigger: str
    owner: str
    settings: JsonObject
    connections: dict[str, str]
    is_pure: bool
    wake_at: datetime | None
    inputs: JsonObject
    created_by: UUID | None
    answer: KeyedAnswer | None = None
    children: JsonObject | None = None
    traceparent: str | None = None


class Acceptance:
    """Inserts runs, many in one commit.

    Args:
        on_accepted: Hears of each batch after it is committed; rings the bell.
    """

    def __init__(
        self, connection: EngineConnection, *, on_accepted: Callable[[Sequence[RunId]], None]
    ) -> None:
        self._connection = connection
        self._on_accepted = on_accepted
        self._pending: list[tuple[NewRun, asyncio.Future[datetime]]] = []
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to accept, on the running loop."""
        self._task = keep_going(self._work, name="acceptance")

    async def stop(self) -> None:
        """Stop; who still waits gets no answer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._connection.close()

    async def accept(self, run: NewRun) -> datetime:
        """Insert a run and return when, by the database's clock.

        Raises `DatabaseAway`, `CommitRefused` if this run cannot be stored, and `KeyTaken` if
        another request holds its idempotency key.
        """
        future: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()
        self._pending.append((run, future))
        self._due.set()
        return await future

    async def _work(self) -> None:
        while True:
            await self._due.wait()
            batch, self._pending = self._pending[:MOST_RUNS], self._pending[MOST_RUNS:]
            if not self._pending:
                self._due.clear()
            await self._settle(batch)

    async def _settle(self, batch: Sequence[tuple[NewRun, asyncio.Future[datetime]]]) -> None:
        try:
            accepted = await self._insert([run for run, _ in batch])
        except DatabaseAway as away:
            _fail(batch, away)
        except Exception as error:  # noqa: BLE001 - refused, or a fault of ours: nobody waits for ever
            if len(batch) > 1:
                for item in batch:  # one bad run must not fail the others
                    await self._settle([item])
                return
            _fail(batch, error)
        else:
            _tell(batch, accepted)
            due = [run.id for run, _ in batch if run.wake_at is None and run.id in accepted]
            self._on_accepted(due)

    async def _insert(self, runs: Sequence[NewRun]) -> dict[UUID, datetime]:
        """Insert; after an unknown outcome again, which adds nothing that is there already."""
        is_keyed = any(run.answer is not None for run in runs)
        statement = statements.ACCEPT_KEYED if is_keyed else statements.ACCEPT
        arrays = _arrays(runs) + (_keys(runs) if is_keyed else ())
        tries = 0
        while True:
            try:
                rows = await self._connection.fetch(statement, arrays, row=class_row(Done))
                if tries and len(rows) < len(runs):
                    ids = [run.id for run in runs]
                    rows = await self._connection.fetch(
                        statements.ACCEPTED, (ids,), row=class_row(Done)
                    )
            except DatabaseAway:
                tries += 1
                if tries == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return {row.id: row.at for row in rows}


def _tell(
    batch: Sequence[tuple[NewRun, asyncio.Future[datetime]]], accepted: Mapping[UUID, datetime]
) -> None:
    for run, future in batch:
        at = accepted.get(run.id)
        if future.done():
            continue
        if at is None:
            future.set_exception(KeyTaken())
        else:
            future.set_result(at)


def _fail(batch: Sequence[tuple[NewRun, asyncio.Future[datetime]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


def _arrays(runs: Sequence[NewRun]) -> tuple[str, ...]:
    return (
        array(run.id for run in runs),
        array(run.workspace for run in runs),
        array(run.root_id for run in runs),
        array(run.agent_id for run in runs),
        array(run.agent for run in runs),
        array(run.template for run in runs),
        array(run.version for run in runs),
        array(run.sha256 for run in runs),
        array(run.trigger for run in runs),
        array(run.owner for run in runs),
        array(dump(run.settings) for run in runs),
        array(dump(run.connections) for run in runs),
        array(run.is_pure for run in runs),
        array(run.wake_at for run in runs),
        array(dump(run.inputs) for run in runs),
        array(run.created_by for run in runs),
        array(None if run.children is None else dump(run.children) for run in runs),
        array(run.traceparent for run in runs),
    )


def _keys(runs: Sequence[NewRun]) -> tuple[str, ...]:
    answers = [run.answer for run in runs]
    return (
        array(None if answer is None else answer.key for answer in answers),
        array(None if answer is None else answer.fingerprint for answer in answers),
        array(None if answer is None else answer.status for answer in answers),
        array(None if answer is None else answer.sealed for answer in answers),
        array(None if answer is None else answer.is_final for answer in answers),
    )
