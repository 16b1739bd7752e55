"""Making and changing schedules."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from treadle.agents.values import JsonValue
from treadle.platform.agents.repository import AgentRecord, find_agent, find_agents
from treadle.platform.auth.callers import Caller
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.turns import BATCH_PRIORITY
from treadle.platform.runs.launch import Launcher
from treadle.platform.schedules.errors import BackfillTooLong, ScheduleInvalid
from treadle.platform.schedules.firing import Firing, schedule_event, trigger_inputs
from treadle.platform.schedules.repository import (
    Fire,
    Schedule,
    database_now,
    get_schedule,
    insert_schedule,
    update_schedule,
)
from treadle.platform.schedules.schemas import Backfill, NewSchedule, ScheduleChange
from treadle.platform.schedules.timing import check_timing

MOST_BACKFILLED = 1000
MOST_SHOWN = 100
_RULES = ("cron", "at", "every")


async def create_schedule(
    tx: TenantConnection,
    launcher: Launcher,
    new: NewSchedule,
    *,
    created_by: UUID,
) -> tuple[Schedule, str]:
    """Make a schedule; raises `NotFound`, `ScheduleInvalid`, `InputsInvalid`, `NotRunnable`."""
    agent = await find_agent(tx, new.agent)
    schedule = await make_schedule(tx, new, agent_id=agent.id, created_by=created_by)
    await check_inputs(tx, launcher, agent, schedule)
    await insert_schedule(tx, schedule)
    return schedule, agent.name


async def make_schedule(
    tx: TenantConnection,
    new: NewSchedule,
    *,
    agent_id: UUID,
    created_by: UUID | None,
    trigger_id: UUID | None = None,
) -> Schedule:
    """A schedule, checked but for its inputs, not stored; raises `ScheduleInvalid`."""
    now = await database_now(tx)
    schedule = Schedule(
        id=new_id(),
        agent_id=agent_id,
        trigger_id=trigger_id,
        cron=new.cron,
        every=new.every,
        at=new.at,
        timezone=new.timezone,
        inputs=new.inputs,
        overlap=new.overlap,
        catchup=new.catchup,
        jitter=new.jitter,
        enabled=new.enabled,
        disabled_reason=None,
        next_at=None,
        failures=0,
        open_runs=(),
        created_at=now,
        updated_at=now,
        created_by=created_by,
    )
    check_timing(schedule.timing, now)
    return schedule.starting(now)


async def change_schedule(
    tx: TenantConnection, launcher: Launcher, schedule_id: UUID, change: ScheduleChange
) -> tuple[Schedule, str]:
    """Change a schedule; raises as `create_schedule` does."""
    schedule, _ = await get_schedule(tx, schedule_id, lock=True)
    agent = (await find_agents(tx, [schedule.agent_id]))[schedule.agent_id]
    now = await database_now(tx)
    given = {name: getattr(change, name) for name in change.model_fields_set}
    changed = _changed(schedule, given, now)
    if "inputs" in given:
        await check_inputs(tx, launcher, agent, changed)
    await update_schedule(tx, replace(changed, updated_at=now))
    return replace(changed, updated_at=now), agent.name


def _changed(schedule: Schedule, given: Mapping[str, object], now: datetime) -> Schedule:
    fields = dict(given)
    for name in ("timezone", "inputs", "overlap", "catchup", "enabled"):
        if name in fields and fields[name] is None:
            raise ScheduleInvalid(name, f"{name!r} cannot be null; leave it out to keep it")
    if any(fields.get(rule) is not None for rule in _RULES):
        fields = dict.fromkeys(_RULES) | fields
    changed = replace(schedule, **fields)  # type: ignore[arg-type]  # the fields are the body's own
    if {*_RULES, "timezone"} & fields.keys():
        check_timing(changed.timing, now)
        changed = changed.starting(now)
    if fields.get("enabled"):
        changed = replace(changed, failures=0, disabled_reason=None)
    return changed


async def check_inputs(
    tx: TenantConnection, launcher: Launcher, agent: AgentRecord, schedule: Schedule
) -> None:
    """Raise `InputsInvalid` unless a fire could start a run; a trigger's may read `event`."""
    inputs: Mapping[str, JsonValue] = schedule.inputs
    if schedule.trigger_id is not None:
        event = schedule_event(schedule, schedule.next_at or schedule.created_at)
        inputs = trigger_inputs(schedule.inputs, event)
    await launcher.inputs(tx, agent, inputs)


async def next_fires(tx: TenantConnection, schedule_id: UUID, *, count: int) -> list[str]:
    """The next instants, as the schedule's time zone shows them; raises `NotFound`."""
    schedule, _ = await get_schedule(tx, schedule_id)
    timing, found = schedule.timing, list[str]()
    for instant in timing.instants(await database_now(tx)):
        found.append(timing.show(instant))
        if len(found) == count:
            break
    return found


async def backfill(
    tx: TenantConnection,
    launcher: Launcher,
    caller: Caller,
    schedule_id: UUID,
    body: Backfill,
) -> tuple[list[Fire], Schedule, list[RunId]]:
    """Fire what lies in a past time and has not fired; a second call changes nothing."""
    schedule, _ = await get_schedule(tx, schedule_id, lock=True)
    now = await database_now(tx)
    if body.from_ > body.to:
        raise ScheduleInvalid("to", "`to` lies before `from`")
    if body.to > now:
        raise ScheduleInvalid("to", f"a backfill is of the past: it is {now.isoformat()} now")
    instants = schedule.timing.between(body.from_, body.to, most=MOST_BACKFILLED + 1)
    if len(instants) > MOST_BACKFILLED:
        raise BackfillTooLong(MOST_BACKFILLED)
    agent = (await find_agents(tx, [schedule.agent_id]))[schedule.agent_id]
    firing = Firing(tx, launcher, WorkspaceId(caller.workspace), agent, schedule, now)
    fires = await firing.fire(instants, overlap=body.overlap, priority=BATCH_PRIORITY)
    await update_schedule(tx, firing.schedule)
    return fires, firing.schedule, firing.started
