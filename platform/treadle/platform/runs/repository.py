"""Queries on runs and their logs; always in a transaction of the workspace that owns them."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Row, literal_column, select, text

from treadle.agents.values import JsonValue
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine.entries import expanded
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.models import log, run_values, runs
from treadle.platform.engine.turns import IS_HELD_BACK
from treadle.platform.errors import NotFound
from treadle.platform.runs.errors import RunFinished
from treadle.platform.runs.views import LogRow, RunRow

MOST_ROWS = 1000
_SHOWN = (
    runs.c.id, runs.c.root_id, runs.c.agent, runs.c.template, runs.c.version, runs.c.sha256,
    runs.c.status, runs.c.inputs, runs.c.outputs, runs.c.error, runs.c.created_at,
    runs.c.started_at, runs.c.finished_at, literal_column(IS_HELD_BACK, Boolean),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows; `None` for all."""

    agent_id: UUID | None = None
    status: str | None = None
    template: str | None = None


async def get_run(tx: TenantConnection, run: UUID) -> RunRow:
    """Return a run; raises `NotFound`."""
    row = (await tx.execute(select(*_SHOWN).where(runs.c.id == run))).one_or_none()
    if row is None:
        raise NotFound("run", str(run))
    return _read(row)


async def list_runs(
    tx: TenantConnection, wanted: RunFilter, *, before: UUID | None, limit: int
) -> list[RunRow]:
    """Runs, newest first."""
    query = select(*_SHOWN).order_by(runs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(runs.c.id < before)
    if wanted.agent_id is not None:
        query = query.where(runs.c.agent_id == wanted.agent_id)
    if wanted.status is not None:
        query = query.where(runs.c.status == wanted.status)
    if wanted.template is not None:
        query = query.where(runs.c.template == wanted.template)
    return [_read(row) for row in await tx.execute(query)]


async def read_log(tx: TenantConnection, run: UUID, *, after: int = 0) -> list[LogRow]:
    """A run's log after a seq, at most `MOST_ROWS` of it."""
    query = select(log).where(log.c.run_id == run, log.c.seq > after)
    rows = await tx.execute(query.order_by(log.c.seq).limit(MOST_ROWS))
    return [LogRow(row.seq, row.at, expanded(row.entry)) for row in rows]


async def read_whole_log(tx: TenantConnection, run: UUID) -> list[LogRow]:
    """All of a run's log."""
    rows = await tx.execute(select(log).where(log.c.run_id == run).order_by(log.c.seq))
    return [LogRow(row.seq, row.at, expanded(row.entry)) for row in rows]


async def read_value(tx: TenantConnection, run: UUID, ref: str) -> JsonValue:
    """An output that was too large for the log; raises `NotFound`."""
    query = select(run_values.c.content).where(run_values.c.run_id == run, run_values.c.ref == ref)
    content = (await tx.execute(query)).scalar_one_or_none()
    if content is None:
        raise NotFound("value", ref)
    value: JsonValue = json.loads(content)
    return value


_CANCEL = text(
    """
    WITH r AS (
        UPDATE runs SET status = 'cancelled', epoch = epoch + 1, seq = seq + 1, worker = NULL,
            wake_at = NULL, finished_at = now()
        WHERE id = :run AND status IN ('queued', 'running', 'waiting')
        RETURNING id, seq, workspace_id, agent, template
    ), l AS (
        INSERT INTO log (run_id, seq, workspace_id, entry)
        SELECT id, seq, workspace_id, '{"t":"run.cancelled"}' FROM r
    ), used AS (
        INSERT INTO usage_entries (workspace_id, agent, template, model, runs, steps, model_calls,
            input_tokens, output_tokens, cached_tokens)
        SELECT workspace_id, coalesce(agent, ''), template, '', 1, 0, 0, 0, 0, 0 FROM r
    )
    SELECT id FROM r
    """
)


async def cancel_run(tx: TenantConnection, run: UUID) -> None:
    """End a run; its owner is fenced from here on. Raises `NotFound` or `RunFinished`."""
    if (await tx.execute(_CANCEL, {"run": run})).first() is not None:
        return
    row = (await tx.execute(select(runs.c.status).where(runs.c.id == run))).one_or_none()
    if row is None:
        raise NotFound("run", str(run))
    raise RunFinished(RunId(run), row.status)


# Any: SQLAlchemy knows no types of columns declared outside its ORM.
def _read(row: Row[*tuple[Any, ...]]) -> RunRow:
    return RunRow(*row)
