"""What becomes of a schedule's instants. The schedule's row is locked by whoever calls."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from treadle.agents.errors import ExpressionError, InputsInvalid, TemplateInvalid
from treadle.agents.expressions import compile_value
from treadle.agents.nodes.durations import parse_duration
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.repository import AgentRecord
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.acceptance import NewRun
from treadle.platform.engine.ids import RunId
from treadle.platform.errors import NotFound
from treadle.platform.runs.errors import NotRunnable, RunFinished
from treadle.platform.runs.launch import Launcher, Reason, insert_runs
from treadle.platform.runs.repository import cancel_run
from treadle.platform.schedules.repository import (
    Fire,
    Schedule,
    fired_instants,
    insert_fires,
    queued_fires,
    run_ends,
    settle_fire,
    update_schedule,
)
from treadle.platform.schedules.schemas import Overlap

MOST_CAUGHT_UP = 100
MOST_QUEUED = 100
MOST_FAILURES = 10
"""Runs in a row that may fail before a schedule is disabled."""

ON_TIME = timedelta(seconds=60)
"""With `catchup: none` an instant older than this is missed."""

_SUPERSEDED = "a later instant was due as well"


@dataclass(slots=True)
class Firing:
    """One schedule while its instants are dealt with.

    Attributes:
        started: Runs to ring for once the transaction is committed.
        cancelled: Runs whose workers should hear of it.
    """

    tx: TenantConnection
    launcher: Launcher
    workspace: WorkspaceId
    agent: AgentRecord
    schedule: Schedule
    now: datetime
    started: list[RunId] = field(default_factory=list[RunId])
    cancelled: list[RunId] = field(default_factory=list[RunId])
    is_disabled: bool = False

    async def fire_due(self) -> None:
        """Fire what is due, and set the next instant."""
        await self.count_ends()
        if self.is_disabled:
            await update_schedule(self.tx, self.schedule)
            return
        instants = due_instants(self.schedule, self.now)
        late = self.schedule.catchup == "all" and len(instants) > 1
        overlap = "queue" if late and self.schedule.overlap == "skip" else self.schedule.overlap
        await self.fire(instants, overlap=overlap)
        self.schedule = self.schedule.starting(self.now)
        await update_schedule(self.tx, self.schedule)

    async def give_up(self, reason: str) -> None:
        """Disable a schedule that can never be dealt with as it is."""
        self.schedule = replace(self.schedule, enabled=False, disabled_reason=reason)
        self.is_disabled = True
        await update_schedule(self.tx, self.schedule)

    async def fire(
        self, instants: Sequence[datetime], *, overlap: Overlap, priority: int = 0
    ) -> list[Fire]:
        """Fire instants that nobody fired before, oldest first."""
        taken = await fired_instants(self.tx, self.schedule.id, instants)
        fresh = [instant for instant in instants if instant not in taken]
        queued = len(await queued_fires(self.tx, self.schedule.id, limit=MOST_QUEUED))
        fires: list[Fire] = []
        runs: list[NewRun] = []
        if overlap == "cancel" and fresh:
            await self._cancel_open()
            fires += [Fire(instant, "skipped", reason=_SUPERSEDED) for instant in fresh[:-1]]
            fresh = fresh[-1:]
        for instant in fresh:
            held = self._held_back(instant, overlap, queued)
            if held is None:
                fires.append(await self._start(instant, runs))
            else:
                queued += held.outcome == "queued"
                fires.append(held)
        await insert_fires(self.tx, self.schedule.id, fires)
        await insert_runs(self.tx, runs, priority=priority)
        return fires

    async def count_ends(self) -> None:
        """Count the runs that ended; start what waited for them, disable what fails too often."""
        schedule = self.schedule
        ends = await run_ends(self.tx, schedule.open_runs) if schedule.open_runs else {}
        still_open = tuple(
            run for run in schedule.open_runs if run in ends and not ends[run].is_over
        )
        failures = schedule.failures
        for run in schedule.open_runs:
            if run in ends and ends[run].is_over and ends[run].status != "cancelled":
                failures = 0 if ends[run].status == "succeeded" else failures + 1
        self.schedule = replace(schedule, open_runs=still_open, failures=failures)
        self._disable_if_failing()
        if not still_open and not self.is_disabled:
            await self._start_queued()

    def _held_back(self, instant: datetime, overlap: Overlap, queued: int) -> Fire | None:
        """What becomes of an instant that starts no run now."""
        if not self.schedule.open_runs or overlap in {"allow", "cancel"}:
            return None
        if overlap == "skip":
            return Fire(instant, "skipped", reason="a run of this schedule still goes on")
        if queued < MOST_QUEUED:
            return Fire(instant, "queued")
        return Fire(instant, "skipped", reason=f"{MOST_QUEUED} instants are queued already")

    async def _start(self, instant: datetime, runs: list[NewRun]) -> Fire:
        wake_at = self._start_later(instant)
        reason = Reason("schedule", self.schedule.created_by, wake_at)
        try:
            given = _given(self.schedule, instant)
            run = await self.launcher.prepare(self.tx, self.workspace, self.agent, given, reason)
        except (InputsInvalid, NotRunnable, TemplateInvalid, ExpressionError) as error:
            self.schedule = replace(self.schedule, failures=self.schedule.failures + 1)
            self._disable_if_failing()
            return Fire(instant, "refused", reason=str(error))
        runs.append(run)
        self.schedule = replace(self.schedule, open_runs=(*self.schedule.open_runs, run.id))
        if wake_at is None:
            self.started.append(run.id)
        return Fire(instant, "started", run.id)

    def _start_later(self, instant: datetime) -> datetime | None:
        """When a run of an instant may begin, if that is later than now."""
        if self.schedule.jitter is None:
            return None
        start = instant + jitter_of(self.schedule.id, instant, parse_duration(self.schedule.jitter))
        return start if start > self.now else None

    async def _start_queued(self) -> None:
        while not self.schedule.open_runs:
            found = await queued_fires(self.tx, self.schedule.id, limit=1)
            if not found:
                return
            runs: list[NewRun] = []
            await settle_fire(self.tx, self.schedule.id, await self._start(found[0], runs))
            await insert_runs(self.tx, runs)

    async def _cancel_open(self) -> None:
        for run in self.schedule.open_runs:
            try:
                await cancel_run(self.tx, run)
            except (RunFinished, NotFound):
                continue
            self.cancelled.append(RunId(run))
        self.schedule = replace(self.schedule, open_runs=())

    def _disable_if_failing(self) -> None:
        if self.schedule.failures < MOST_FAILURES or not self.schedule.enabled:
            return
        reason = f"{self.schedule.failures} runs in a row did not succeed"
        self.schedule = replace(self.schedule, enabled=False, disabled_reason=reason)
        self.is_disabled = True


def due_instants(schedule: Schedule, now: datetime) -> list[datetime]:
    """What to fire of the instants since the last look, by the schedule's `catchup`."""
    if schedule.next_at is None:
        return []
    most = MOST_CAUGHT_UP if schedule.catchup == "all" else 1
    found = schedule.timing.between(schedule.next_at, now, most=most)
    if schedule.catchup == "none":
        return [instant for instant in found if now - instant <= ON_TIME]
    return found


def jitter_of(schedule: UUID, instant: datetime, most: timedelta) -> timedelta:
    """How much later than its instant a run begins: the same whoever asks, and less than `most`."""
    digest = hashlib.sha256(f"{schedule} {instant.timestamp()}".encode()).digest()
    return most * (int.from_bytes(digest[:4]) / 2**32)


def trigger_inputs(inputs: Mapping[str, JsonValue], event: JsonObject) -> JsonObject:
    """A trigger's inputs, in which expressions read `event`; raises `ExpressionError`."""
    return {name: compile_value(value).evaluate({"event": event}) for name, value in inputs.items()}


def schedule_event(schedule: Schedule, instant: datetime) -> JsonObject:
    """What a schedule's expressions see as `event`."""
    return {"at": schedule.timing.show(instant), "schedule": str(schedule.id)}


def _given(schedule: Schedule, instant: datetime) -> JsonObject:
    # Inputs given through the API are values, whatever they look like.
    if schedule.trigger_id is None:
        return schedule.inputs
    return trigger_inputs(schedule.inputs, schedule_event(schedule, instant))
