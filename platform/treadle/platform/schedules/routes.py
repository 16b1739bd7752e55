"""`/v1/schedules`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import BackgroundTasks, Query, Response

from treadle.platform.agents.repository import find_agent
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import parse_id
from treadle.platform.errors import NotFound
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_cursor, read_id_cursor
from treadle.platform.routing import Transaction, Wired, api_router, needs
from treadle.platform.schedules.repository import (
    Fire,
    Schedule,
    delete_schedules,
    get_schedule,
    list_fires,
    list_schedules,
)
from treadle.platform.schedules.schemas import (
    Backfill,
    Backfilled,
    FireView,
    NewSchedule,
    NextFires,
    ScheduleChange,
    ScheduleView,
)
from treadle.platform.schedules.service import (
    MOST_SHOWN,
    backfill,
    change_schedule,
    create_schedule,
    next_fires,
)
from treadle.platform.schedules.timing import Timing

router = api_router(tags=["schedules"])

Reader = Annotated[Caller, needs(Scope.SCHEDULES_READ)]
Writer = Annotated[Caller, needs(Scope.SCHEDULES_WRITE)]


@router.post("/v1/schedules", status_code=HTTPStatus.CREATED)
async def create(
    body: NewSchedule, tx: Transaction, services: Wired, caller: Writer
) -> ScheduleView:
    """Let an agent start by the clock."""
    made = await create_schedule(tx, services.launcher, body, created_by=caller.key_id)
    return _show(*made)


@router.get("/v1/schedules")
async def list_all(
    tx: Transaction,
    _: Reader,
    agent: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ScheduleView]:
    """List schedules, newest first."""
    agent_id = None if agent is None else (await find_agent(tx, agent)).id
    before = read_id_cursor(cursor)
    rows = await list_schedules(tx, agent=agent_id, before=before, limit=limit + 1)
    return make_page(
        rows, limit=limit, show=lambda row: _show(*row), position=lambda row: row[0].id
    )


@router.get("/v1/schedules/{schedule}")
async def get(schedule: str, tx: Transaction, _: Reader) -> ScheduleView:
    """Show a schedule."""
    return _show(*await get_schedule(tx, parse_id("schedule", schedule)))


@router.patch("/v1/schedules/{schedule}")
async def change(
    schedule: str, body: ScheduleChange, tx: Transaction, services: Wired, _: Writer
) -> ScheduleView:
    """Change a schedule, pause it (`enabled: false`) or go on; what the body leaves out stays."""
    identifier = parse_id("schedule", schedule)
    return _show(*await change_schedule(tx, services.launcher, identifier, body))


@router.delete(
    "/v1/schedules/{schedule}", status_code=HTTPStatus.NO_CONTENT, response_class=Response
)
async def delete(schedule: str, tx: Transaction, _: Writer) -> None:
    """Delete a schedule; the runs it started go on."""
    found, _agent = await get_schedule(tx, parse_id("schedule", schedule), lock=True)
    await delete_schedules(tx, [found.id])


@router.get("/v1/schedules/{schedule}/next")
async def get_next(
    schedule: str,
    tx: Transaction,
    _: Reader,
    n: Annotated[int, Query(ge=1, le=MOST_SHOWN, description="How many.")] = 5,
) -> NextFires:
    """Tell when a schedule fires next."""
    return NextFires(items=await next_fires(tx, parse_id("schedule", schedule), count=n))


@router.get("/v1/schedules/{schedule}/fires")
async def get_fires(
    schedule: str, tx: Transaction, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[FireView]:
    """List what became of a schedule's instants, newest first."""
    found, _agent = await get_schedule(tx, parse_id("schedule", schedule))
    fires = await list_fires(tx, found.id, before=_read_moment(cursor), limit=limit + 1)
    timing = found.timing
    return make_page(
        fires,
        limit=limit,
        show=lambda fire: _show_fire(fire, timing),
        position=lambda fire: fire.instant.isoformat(),
    )


@router.post("/v1/schedules/{schedule}/backfill", status_code=HTTPStatus.ACCEPTED)
async def create_backfill(
    schedule: str,
    body: Backfill,
    tx: Transaction,
    services: Wired,
    caller: Writer,
    after: BackgroundTasks,
) -> Backfilled:
    """Fire what lies in a past time and has not fired yet; again changes nothing."""
    identifier = parse_id("schedule", schedule)
    fires, found, started = await backfill(tx, services.launcher, caller, identifier, body)
    after.add_task(services.runs.ring, started)
    return Backfilled(items=[_show_fire(fire, found.timing) for fire in fires])


def _show(schedule: Schedule, agent: str) -> ScheduleView:
    timing = schedule.timing
    return ScheduleView(
        id=str(schedule.id),
        agent=agent,
        cron=schedule.cron,
        at=None if schedule.at is None else timing.show(schedule.at),
        every=schedule.every,
        timezone=schedule.timezone,
        inputs=schedule.inputs,
        overlap=schedule.overlap,
        catchup=schedule.catchup,
        jitter=schedule.jitter,
        enabled=schedule.enabled,
        disabled_reason=schedule.disabled_reason,
        next_at=None if schedule.next_at is None else timing.show(schedule.next_at),
        failures=schedule.failures,
        trigger=None if schedule.trigger_id is None else str(schedule.trigger_id),
        created_at=schedule.created_at,
        updated_at=schedule.updated_at,
    )


def _show_fire(fire: Fire, timing: Timing) -> FireView:
    return FireView(
        at=timing.show(fire.instant),
        outcome=fire.outcome,
        run=None if fire.run_id is None else str(fire.run_id),
        reason=fire.reason,
    )


def _read_moment(cursor: str | None) -> datetime | None:
    position = read_cursor(cursor)
    try:
        return None if position is None else datetime.fromisoformat(position)
    except ValueError:
        raise NotFound("page", position or "") from None
