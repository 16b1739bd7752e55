"""Queries on schedules and their fires."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, func, select, update

from treadle.agents.nodes.durations import parse_duration
from treadle.agents.values import JsonObject
from treadle.platform.agents.models import agents
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine.models import runs
from treadle.platform.errors import NotFound
from treadle.platform.schedules.models import schedule_fires, schedules
from treadle.platform.schedules.schemas import Catchup, Outcome, Overlap
from treadle.platform.schedules.timing import Timing, read_zone


@dataclass(frozen=True, slots=True)
class Schedule:
    """A stored schedule; the columns are told in `models`."""

    id: UUID
    agent_id: UUID
    trigger_id: UUID | None
    cron: str | None
    every: str | None
    at: datetime | None
    timezone: str
    inputs: JsonObject
    overlap: Overlap
    catchup: Catchup
    jitter: str | None
    enabled: bool
    disabled_reason: str | None
    next_at: datetime | None
    failures: int
    open_runs: tuple[UUID, ...]
    created_at: datetime
    updated_at: datetime
    created_by: UUID | None

    @property
    def timing(self) -> Timing:
        """When it fires; raises `ScheduleInvalid` if its time zone is not known here."""
        every = None if self.every is None else parse_duration(self.every)
        return Timing(read_zone(self.timezone), self.cron, every, self.at)

    def starting(self, moment: datetime) -> "Schedule":
        """The same, with the first instant after a moment as its next."""
        return replace(self, next_at=self.timing.after(moment))


@dataclass(frozen=True, slots=True)
class Fire:
    """What became of an instant."""

    instant: datetime
    outcome: Outcome
    run_id: UUID | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run stands; `status` is one of a run's."""

    run_id: UUID
    status: Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
    is_over: bool


async def database_now(tx: TenantConnection) -> datetime:
    """The database's clock, which is the only one for schedules."""
    now: datetime = (await tx.execute(select(func.now()))).scalar_one()
    return now


async def insert_schedule(tx: TenantConnection, schedule: Schedule) -> None:
    """Store a new schedule."""
    await tx.execute(schedules.insert().values(_columns(schedule)))


async def update_schedule(tx: TenantConnection, schedule: Schedule) -> None:
    """Store a schedule's new state."""
    query = schedules.update().where(schedules.c.id == schedule.id)
    await tx.execute(query.values(_columns(schedule)))


async def get_schedule(
    tx: TenantConnection, schedule: UUID, *, lock: bool = False
) -> tuple[Schedule, str]:
    """A schedule and its agent's name; raises `NotFound`."""
    query = _with_agent().where(schedules.c.id == schedule)
    query = query.with_for_update(of=schedules) if lock else query
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound("schedule", str(schedule))
    return read_schedule(row), row.agent_name


async def list_schedules(
    tx: TenantConnection, *, agent: UUID | None, before: UUID | None, limit: int
) -> list[tuple[Schedule, str]]:
    """Schedules with their agents' names, newest first."""
    query = _with_agent().order_by(schedules.c.id.desc()).limit(limit)
    if agent is not None:
        query = query.where(schedules.c.agent_id == agent)
    if before is not None:
        query = query.where(schedules.c.id < before)
    return [(read_schedule(row), row.agent_name) for row in await tx.execute(query)]


async def trigger_schedules(tx: TenantConnection, agent: UUID) -> Mapping[UUID, Schedule]:
    """The schedules that are triggers of an agent, by the trigger's id; locked."""
    query = select(schedules).where(
        schedules.c.agent_id == agent, schedules.c.trigger_id.is_not(None)
    )
    return {row.trigger_id: read_schedule(row) for row in await tx.execute(query.with_for_update())}


async def delete_schedules(tx: TenantConnection, ids: Sequence[UUID]) -> None:
    """Delete schedules; what they started goes on."""
    await tx.execute(schedules.delete().where(schedules.c.id.in_(ids)))


async def insert_fires(tx: TenantConnection, schedule: UUID, fires: Sequence[Fire]) -> None:
    """Take instants; one that somebody else took fails the transaction."""
    if fires:
        values = [
            {"schedule_id": schedule, "instant": fire.instant, "outcome": fire.outcome,
             "run_id": fire.run_id, "reason": fire.reason}
            for fire in fires
        ]  # fmt: skip
        await tx.execute(schedule_fires.insert(), values)


async def fired_instants(
    tx: TenantConnection, schedule: UUID, instants: Sequence[datetime]
) -> set[datetime]:
    """Which of these were taken before."""
    query = select(schedule_fires.c.instant).where(
        schedule_fires.c.schedule_id == schedule, schedule_fires.c.instant.in_(instants)
    )
    return {row.instant for row in await tx.execute(query)}


async def list_fires(
    tx: TenantConnection, schedule: UUID, *, before: datetime | None, limit: int
) -> list[Fire]:
    """A schedule's fires, newest first."""
    query = (
        select(schedule_fires)
        .where(schedule_fires.c.schedule_id == schedule)
        .order_by(schedule_fires.c.instant.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(schedule_fires.c.instant < before)
    return [Fire(r.instant, r.outcome, r.run_id, r.reason) for r in await tx.execute(query)]


async def queued_fires(tx: TenantConnection, schedule: UUID, *, limit: int) -> list[datetime]:
    """Instants that wait for a run to end, oldest first."""
    query = (
        select(schedule_fires.c.instant)
        .where(schedule_fires.c.schedule_id == schedule, schedule_fires.c.outcome == "queued")
        .order_by(schedule_fires.c.instant)
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def settle_fire(tx: TenantConnection, schedule: UUID, fire: Fire) -> None:
    """Note what became of an instant that was queued."""
    await tx.execute(
        update(schedule_fires)
        .where(schedule_fires.c.schedule_id == schedule, schedule_fires.c.instant == fire.instant)
        .values(outcome=fire.outcome, run_id=fire.run_id, reason=fire.reason)
    )


async def run_ends(tx: TenantConnection, ids: Sequence[UUID]) -> dict[UUID, RunEnd]:
    """How runs stand; one that retention took is missing."""
    query = select(runs.c.id, runs.c.status, runs.c.finished_at).where(runs.c.id.in_(ids))
    return {
        row.id: RunEnd(row.id, row.status, row.finished_at is not None)
        for row in await tx.execute(query)
    }


# Any: SQLAlchemy knows no types of columns declared outside its ORM.
def read_schedule(row: Row[*tuple[Any, ...]]) -> Schedule:
    """A schedule from its row."""
    return Schedule(
        id=row.id,
        agent_id=row.agent_id,
        trigger_id=row.trigger_id,
        cron=row.cron,
        every=row.every,
        at=row.at,
        timezone=row.timezone,
        inputs=row.inputs,
        overlap=row.overlap,
        catchup=row.catchup,
        jitter=row.jitter,
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        next_at=row.next_at,
        failures=row.failures,
        open_runs=tuple(row.open_runs),
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by=row.created_by,
    )


def _with_agent() -> Select[*tuple[Any, ...]]:  # Any: as above
    return select(schedules, agents.c.name.label("agent_name")).join(
        agents,
        (agents.c.workspace_id == schedules.c.workspace_id) & (agents.c.id == schedules.c.agent_id),
    )


def _columns(schedule: Schedule) -> dict[str, object]:
    return {
        "id": schedule.id,
        "agent_id": schedule.agent_id,
        "trigger_id": schedule.trigger_id,
        "cron": schedule.cron,
        "every": schedule.every,
        "at": schedule.at,
        "timezone": schedule.timezone,
        "inputs": schedule.inputs,
        "overlap": schedule.overlap,
        "catchup": schedule.catchup,
        "jitter": schedule.jitter,
        "enabled": schedule.enabled,
        "disabled_reason": schedule.disabled_reason,
        "next_at": schedule.next_at,
        "failures": schedule.failures,
        "open_runs": list(schedule.open_runs),
        "created_at": schedule.created_at,
        "updated_at": schedule.updated_at,
        "created_by": schedule.created_by,
    }
