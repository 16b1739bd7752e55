"""The loop of a scheduler process. Any number may tick: each takes what no other has locked."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import DBAPIError

from treadle.agents.errors import AgentsError
from treadle.agents.values import JsonObject
from treadle.platform.agents.repository import find_agents
from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.broadcast import Speaker
from treadle.platform.engine.hints import CANCELS
from treadle.platform.engine.ids import RunId
from treadle.platform.errors import PlatformError
from treadle.platform.log import get_log
from treadle.platform.loops import keep_going
from treadle.platform.runs.launch import Launcher
from treadle.platform.schedules.firing import Firing
from treadle.platform.schedules.repository import read_schedule, update_schedule
from treadle.platform.webhooks.repository import announce
from treadle.platform.webhooks.schemas import EventType

LONGEST_SLEEP_S = 1.0
COUNT_ENDS_S = 2.0
_AFTER_FAILURE_S = 1.0

log = get_log(__name__)

# One workspace at a time: what follows happens under its own row-level security.
_LOCK_DUE = text(
    """
    WITH first AS (
        SELECT workspace_id FROM schedules WHERE enabled AND next_at <= now()
        ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    SELECT s.*, now() AS now FROM schedules s JOIN first USING (workspace_id)
    WHERE s.enabled AND s.next_at <= now()
    ORDER BY s.next_at LIMIT 50 FOR UPDATE OF s SKIP LOCKED
    """
)
_LOCK_ENDED = text(
    """
    WITH first AS (
        SELECT s.workspace_id FROM schedules s
        WHERE s.open_runs <> '{}' AND EXISTS (
            SELECT FROM runs r WHERE r.id = ANY (s.open_runs) AND r.finished_at IS NOT NULL
        ) LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    SELECT s.*, now() AS now FROM schedules s JOIN first USING (workspace_id)
    WHERE s.open_runs <> '{}' AND EXISTS (
        SELECT FROM runs r WHERE r.id = ANY (s.open_runs) AND r.finished_at IS NOT NULL
    ) LIMIT 50 FOR UPDATE OF s SKIP LOCKED
    """
)
_UNTIL_NEXT = text(
    "SELECT extract(epoch FROM min(next_at) - clock_timestamp()) FROM schedules"
    " WHERE enabled AND next_at IS NOT NULL"
)


class Clock:
    """Fires schedules.

    Args:
        on_started: Hears of runs after they are committed; rings the bell.
        on_cancelled: Hears of runs that were cancelled to make place.
    """

    def __init__(
        self,
        database: Database,
        launcher: Launcher,
        *,
        on_started: Callable[[Sequence[RunId]], None],
        on_cancelled: Callable[[Sequence[RunId]], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._launcher = launcher
        self._on_started = on_started
        self._on_cancelled = on_cancelled
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to tick, on the running loop."""
        self._tasks = [
            keep_going(self._tick, name="schedules"),
            keep_going(self._count, name="schedules-ended"),
        ]

    async def stop(self) -> None:
        """Stop; a transaction under way is rolled back."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def fire_due(self) -> None:
        """Fire all that is due now."""
        while await self._take(_LOCK_DUE, Firing.fire_due):
            pass

    async def count_ends(self) -> None:
        """Count the runs that have ended, and start what waited for them."""
        while await self._take(_LOCK_ENDED, _count_and_store):
            pass

    async def _tick(self) -> None:
        while True:
            try:
                await self.fire_due()
                pause = await self._until_next()
            except (DBAPIError, OSError) as error:
                log.warning("schedules.tick_failed", reason=str(error))
                pause = _AFTER_FAILURE_S
            await asyncio.sleep(pause)

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_ENDS_S)
            try:
                await self.count_ends()
            except (DBAPIError, OSError) as error:
                log.warning("schedules.count_failed", reason=str(error))

    async def _until_next(self) -> float:
        async with self._database.as_engine() as tx:
            seconds = (await tx.execute(_UNTIL_NEXT)).scalar_one()
        # Not at once where it is past: then another process has it.
        return LONGEST_SLEEP_S if seconds is None else min(LONGEST_SLEEP_S, max(0.01, seconds))

    async def _take(self, lock: TextClause, act: Callable[[Firing], Awaitable[None]]) -> bool:
        """Lock schedules of one workspace and act on each; false where there was nothing."""
        firings: list[Firing] = []
        async with self._database.as_engine() as connection:
            rows = (await connection.execute(lock)).all()
            if not rows:
                return False
            workspace = WorkspaceId(rows[0].workspace_id)
            tx = await self._database.bind(connection, workspace)
            firings = await self._firings(tx, workspace, rows)
            for firing in firings:
                await self._act(firing, act)
        self._tell(firings)
        return True

    async def _act(self, firing: Firing, act: Callable[[Firing], Awaitable[None]]) -> None:
        """Act on a schedule; one that cannot be dealt with is disabled and holds nobody up."""
        try:
            await act(firing)
        except (PlatformError, AgentsError) as error:
            await firing.give_up(str(error))
        if firing.is_disabled:
            subject: JsonObject = {
                "id": str(firing.schedule.id),
                "agent": firing.agent.name,
                "reason": firing.schedule.disabled_reason,
            }
            await announce(firing.tx, firing.workspace, EventType.SCHEDULE_DISABLED, subject)

    async def _firings(
        self, tx: TenantConnection, workspace: WorkspaceId, rows: Sequence[Row[*tuple[Any, ...]]]
    ) -> list[Firing]:
        """Any: SQLAlchemy knows no types of columns declared outside its ORM."""
        agents = await find_agents(tx, [row.agent_id for row in rows])
        return [
            Firing(tx, self._launcher, workspace, agents[row.agent_id], read_schedule(row), row.now)
            for row in rows
        ]

    def _tell(self, firings: Sequence[Firing]) -> None:
        self._on_started([run for firing in firings for run in firing.started])
        self._on_cancelled([run for firing in firings for run in firing.cancelled])
        for firing in firings:
            if firing.is_disabled:
                log.warning(
                    "schedule.disabled",
                    schedule=str(firing.schedule.id),
                    reason=firing.schedule.disabled_reason,
                )


async def _count_and_store(firing: Firing) -> None:
    await firing.count_ends()
    await update_schedule(firing.tx, firing.schedule)


def tell_cancelled(speaker: Speaker, runs: Sequence[RunId]) -> None:
    """Let workers drop runs at once; without it they notice at their next beat."""
    if runs:
        speaker.say(CANCELS, json.dumps([str(run) for run in runs]))
