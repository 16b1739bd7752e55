"""Queries on what runs wait for; an answer and the signal to its run are one transaction."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, Select, func, or_, select, text, tuple_

from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.approvals.errors import AlreadyAnswered, WaitOver
from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import ENDED
from treadle.platform.engine.models import runs, waits
from treadle.platform.errors import NotFound
from treadle.platform.runs.errors import RunFinished

_OPEN = (waits.c.answered_at.is_(None), waits.c.closed_at.is_(None))


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """A wait as it is stored, and how its run is.

    Attributes:
        is_open: Nobody has answered it, and its run still needs an answer.
    """

    id: UUID
    run: RunId
    kind: str
    node: str
    path: str
    item: JsonValue
    until: datetime | None
    asked: JsonObject
    created_at: datetime
    is_open: bool
    run_status: str
    template: str
    sha256: bytes


async def find_wait(tx: TenantConnection, wait: UUID, *, kind: str) -> WaitRecord:
    """Return a wait of this kind; raises `NotFound`."""
    row = (await tx.execute(_select().where(waits.c.id == wait, waits.c.kind == kind))).first()
    if row is None:
        raise NotFound(kind, str(wait))
    return _read(row)


async def find_open_at(tx: TenantConnection, run: UUID, path: str, *, kind: str) -> UUID | None:
    """The open wait of a step."""
    query = select(waits.c.id).where(
        waits.c.run_id == run, waits.c.path == path, waits.c.kind == kind, *_OPEN
    )
    return (await tx.execute(query)).scalars().first()


async def list_approvals(
    tx: TenantConnection, *, after: UUID | None, limit: int
) -> list[WaitRecord]:
    """Open approvals, the oldest first."""
    ended = [status.value for status in ENDED]
    query = _select().where(waits.c.kind == "approval", *_OPEN, runs.c.status.not_in(ended))
    query = query.where(or_(waits.c.until.is_(None), waits.c.until > func.now()))
    if after is not None:
        place = select(waits.c.created_at, waits.c.id).where(waits.c.id == after)
        query = query.where(tuple_(waits.c.created_at, waits.c.id) > place.scalar_subquery())
    rows = await tx.execute(query.order_by(waits.c.created_at, waits.c.id).limit(limit))
    return [_read(row) for row in rows]


async def workspace_of(database: Database, wait: UUID) -> WorkspaceId | None:
    """Whose wait it is; for those who come with a token and no key."""
    async with database.as_engine() as connection:
        found = await connection.execute(select(waits.c.workspace_id).where(waits.c.id == wait))
    workspace = found.scalar_one_or_none()
    return None if workspace is None else WorkspaceId(workspace)


_SIGNAL = text(
    """
    UPDATE runs SET signals = signals + 1, rung_at = now(),
        wake_at = CASE WHEN status = 'waiting' THEN NULL ELSE wake_at END,
        status = CASE WHEN status = 'waiting' AND NOT is_paused THEN 'queued' ELSE status END
    WHERE id = :run AND status IN ('queued', 'running', 'waiting')
    RETURNING id
    """
)
_ANSWER = text(
    """
    UPDATE waits SET answer = CAST(:answer AS json), answered_by = :by, answered_at = now()
    WHERE id = :wait AND answered_at IS NULL AND closed_at IS NULL
        AND (until IS NULL OR until > now())
    RETURNING answered_at
    """
)


async def answer_wait(
    tx: TenantConnection, wait: WaitRecord, value: JsonValue, *, by: str | None
) -> datetime:
    """Answer a wait and let its run go on; returns when.

    The run comes first: its row's lock keeps it from parking over the answer, and from ending.
    Raises `RunFinished`, `AlreadyAnswered` or `WaitOver`.
    """
    if (await tx.execute(_SIGNAL, {"run": wait.run})).first() is None:
        raise RunFinished(wait.run, wait.run_status)
    given = {"wait": wait.id, "answer": json.dumps(value), "by": by}
    answered: datetime | None = (await tx.execute(_ANSWER, given)).scalar_one_or_none()
    if answered is None:
        raise WaitOver(wait.path) if wait.is_open else AlreadyAnswered(wait.path)
    return answered


def _select() -> Select[tuple[object, ...]]:
    return select(waits, runs.c.status.label("run_status"), runs.c.template, runs.c.sha256).join(
        runs, runs.c.id == waits.c.run_id
    )


def _read(row: Row[tuple[object, ...]]) -> WaitRecord:
    return WaitRecord(
        id=row.id,
        run=RunId(row.run_id),
        kind=row.kind,
        node=row.node,
        path=row.path,
        item=row.item,
        until=row.until,
        asked=row.asked or {},
        created_at=row.created_at,
        is_open=row.answered_at is None and row.closed_at is None,
        run_status=row.run_status,
        template=row.template,
        sha256=row.sha256,
    )
