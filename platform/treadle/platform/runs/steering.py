"""Pausing, resuming and settling: what people do to runs that are not at their end."""

from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import TextClause, select, text, update

from treadle.agents.errors import Issue
from treadle.agents.language.model import Budget
from treadle.agents.steps.settling import SettleAs
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.approvals.repository import answer_wait, find_open_at, find_wait
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine import wait_statements
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import ENDED
from treadle.platform.engine.models import runs
from treadle.platform.errors import Conflict, NotFound, Unprocessable
from treadle.platform.runs.errors import RunFinished

_PAUSE = text(
    """
    WITH r AS (
        UPDATE runs SET is_paused = true, signals = signals + 1,
            seq = seq + CASE WHEN status = 'running' THEN 0 ELSE 1 END,
            status = CASE WHEN status = 'running' THEN status ELSE 'waiting' END
        WHERE id = :run AND status IN ('queued', 'running', 'waiting') AND NOT is_paused
        RETURNING id, seq, workspace_id, status
    )
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT id, seq, workspace_id, '{"t": "run.waiting", "waits":
        [{"kind": "paused", "id": "paused", "node": null, "until": null}]}'
    FROM r WHERE status = 'waiting'
    """
)
_RESUME = text(
    """
    UPDATE runs SET is_paused = false, signals = signals + 1, rung_at = now(),
        wake_at = CASE WHEN started_at IS NULL THEN wake_at END,
        status = CASE WHEN status = 'waiting' THEN 'queued' ELSE status END
    WHERE id = :run AND status IN ('queued', 'running', 'waiting')
    """
)

_IS_STEP = text("SELECT EXISTS (SELECT FROM log WHERE run_id = :run AND entry->>'path' = :path)")


class StepNotUnknown(Conflict):
    """The step is not one whose effect may have happened."""

    code = "step_not_unknown"

    def __init__(self, path: str) -> None:
        super().__init__(f"step {path!r} has nothing to settle: only `unknown` steps have")


async def pause_run(tx: TenantConnection, run: UUID) -> None:
    """Let running steps finish and nothing begin; raises `NotFound` or `RunFinished`."""
    await _steer(tx, _PAUSE, run)


async def resume_run(tx: TenantConnection, run: UUID) -> None:
    """Let it go on; raises `NotFound` or `RunFinished`."""
    await _steer(tx, _RESUME, run)


async def raise_budget(tx: TenantConnection, run: UUID, budget: JsonObject) -> None:
    """Change limits of a run; raises `NotFound`, `RunFinished` or `Unprocessable`."""
    await _require_going(tx, run)
    try:
        Budget.model_validate(budget)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("budget", *(str(part) for part in first["loc"])))
        issue = Issue("error", where, None, None, first["msg"])
        raise Unprocessable(f"{where}: {first['msg']}", issues=[issue]) from error
    query = select(runs.c.settings).where(runs.c.id == run)
    settings: JsonObject = (await tx.execute(query)).scalar_one()
    before = settings.get("budget")
    raised = settings | {"budget": {**(before if isinstance(before, dict) else {}), **budget}}
    await tx.execute(update(runs).where(runs.c.id == run).values(settings=raised))


async def settle_step(
    tx: TenantConnection, run: UUID, path: str, *, verdict: SettleAs, output: JsonValue, by: str
) -> None:
    """End an `unknown`; raises `NotFound`, `RunFinished` or `StepNotUnknown`."""
    await _require_going(tx, run)
    wait = await find_open_at(tx, run, path, kind="unknown")
    if wait is None:
        if not (await tx.execute(_IS_STEP, {"run": run, "path": path})).scalar_one():
            raise NotFound("step", path)
        raise StepNotUnknown(path)
    record = await find_wait(tx, wait, kind="unknown")
    answer: JsonObject = {"as": verdict.value, "output": output}
    await answer_wait(tx, record, answer, by=by)


async def cancel_children(tx: TenantConnection, run: UUID) -> list[RunId]:
    """End what a run started, and what that started; returns those that were ended."""
    rows = await tx.exec_driver_sql(wait_statements.CANCEL_CHILDREN, {"runs": [run]})
    return [RunId(row.id) for row in rows]


async def signal_parent(tx: TenantConnection, run: UUID) -> list[RunId]:
    """Tell the parent of a run that has ended; returns it."""
    rows = await tx.exec_driver_sql(wait_statements.SIGNAL_PARENTS, {"runs": [run]})
    return [RunId(row.id) for row in rows]


async def _steer(tx: TenantConnection, statement: TextClause, run: UUID) -> None:
    await _require_going(tx, run)
    await tx.execute(statement, {"run": run})


async def _require_going(tx: TenantConnection, run: UUID) -> None:
    query = select(runs.c.status).where(runs.c.id == run).with_for_update()
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound("run", str(run))
    if row.status in ENDED:
        raise RunFinished(RunId(run), row.status)
