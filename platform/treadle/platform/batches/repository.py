"""Queries on batches and their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, or_, select

from treadle.agents.values import JsonObject
from treadle.platform.batches.models import batch_rows, batches
from treadle.platform.batches.rows import Format
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine.entries import dump
from treadle.platform.engine.models import runs
from treadle.platform.errors import NotFound


@dataclass(frozen=True, slots=True)
class Batch:
    """A stored batch."""

    id: UUID
    agent_id: UUID
    agent: str
    format: Format
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row and how its newest run stands; the columns are told in `models`."""

    number: int
    row: JsonObject
    run_id: UUID | None
    root_id: UUID | None
    error: str | None
    status: str | None = None
    outputs: JsonObject | None = None
    run_error: JsonObject | None = None

    @property
    def shown_status(self) -> str:
        """Of its run; a row that started none has failed. Null once retention took the run."""
        return "failed" if self.run_id is None else self.status or "expired"


_INSERT_ROWS = """
INSERT INTO batch_rows (batch_id, number, row, run_id, root_id, error)
SELECT %(batch)s, u.* FROM unnest(
    %(number)s::int[], %(row)s::json[], %(run)s::uuid[], %(root)s::uuid[], %(error)s::text[]
) AS u
ON CONFLICT (workspace_id, batch_id, number) DO UPDATE
    SET run_id = excluded.run_id, root_id = excluded.root_id, error = excluded.error
"""
_JOINED = and_(runs.c.id == batch_rows.c.run_id, runs.c.workspace_id == batch_rows.c.workspace_id)
_HAS_FAILED = or_(batch_rows.c.run_id.is_(None), runs.c.status.in_(["failed", "cancelled"]))


async def insert_batch(tx: TenantConnection, batch: Batch, *, created_by: UUID) -> None:
    """Store a new batch."""
    await tx.execute(
        batches.insert().values(
            id=batch.id,
            agent_id=batch.agent_id,
            agent=batch.agent,
            format=batch.format.value,
            created_at=batch.created_at,
            created_by=created_by,
        )
    )


async def put_rows(tx: TenantConnection, batch: UUID, rows: Sequence[BatchRow]) -> None:
    """Store rows, or their new runs, with one statement."""
    columns = {
        "batch": batch,
        "number": [row.number for row in rows],
        "row": [dump(row.row) for row in rows],
        "run": [row.run_id for row in rows],
        "root": [row.root_id for row in rows],
        "error": [row.error for row in rows],
    }
    await tx.exec_driver_sql(_INSERT_ROWS, columns)


async def get_batch(tx: TenantConnection, batch: UUID, *, lock: bool = False) -> Batch:
    """Return a batch; raises `NotFound`. `lock` lets one retry it at a time."""
    query = select(batches).where(batches.c.id == batch)
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("batch", str(batch))
    return Batch(row.id, row.agent_id, row.agent, Format(row.format), row.created_at)


async def count_rows(tx: TenantConnection, batch: UUID) -> Mapping[str, int]:
    """How many rows have which status."""
    query = (
        select(runs.c.status, batch_rows.c.run_id.is_(None).label("is_bad"), func.count())
        .select_from(batch_rows.outerjoin(runs, _JOINED))
        .where(batch_rows.c.batch_id == batch)
        .group_by("status", "is_bad")
    )
    counts: dict[str, int] = {}
    for status, is_bad, count in await tx.execute(query):
        name = "failed" if is_bad else status or "expired"
        counts[name] = counts.get(name, 0) + count
    return counts


async def list_rows(tx: TenantConnection, batch: UUID, *, after: int, limit: int) -> list[BatchRow]:
    """Rows with what became of them, in the order of the file."""
    query = _with_runs(batch).where(batch_rows.c.number > after).limit(limit)
    return [_read(row) for row in await tx.execute(query)]


async def failed_rows(tx: TenantConnection, batch: UUID) -> list[BatchRow]:
    """Rows whose run failed or was cancelled, and those that started none."""
    return [_read(row) for row in await tx.execute(_with_runs(batch).where(_HAS_FAILED))]


# Any: SQLAlchemy knows no types of columns declared outside its ORM.
def _with_runs(batch: UUID) -> Select[*tuple[Any, ...]]:
    return (
        select(batch_rows, runs.c.status, runs.c.outputs, runs.c.error.label("run_error"))
        .select_from(batch_rows.outerjoin(runs, _JOINED))
        .where(batch_rows.c.batch_id == batch)
        .order_by(batch_rows.c.number)
    )


def _read(row: Row[*tuple[Any, ...]]) -> BatchRow:  # Any: as above
    return BatchRow(
        row.number, row.row, row.run_id, row.root_id, row.error, row.status, row.outputs,
        row.run_error,
    )  # fmt: skip
