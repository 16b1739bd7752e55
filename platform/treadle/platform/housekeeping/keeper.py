"""The loop of housekeeping; any number of processes may run one."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from treadle.platform.db.database import Database
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.errors import CommitRefused, DatabaseAway
from treadle.platform.housekeeping.partitions import clear_default, drop_weeks, make_partitions
from treadle.platform.housekeeping.retention import (
    BATCH,
    all_workspaces,
    collect_blobs,
    delete_runs,
    prune_keys,
)
from treadle.platform.log import get_log
from treadle.platform.loops import keep_going
from treadle.platform.usage.fold import fold_usage

FOLD_S = 5.0
ROUND_S = 600.0

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long finished runs are kept; `None` for ever."""

    steps: timedelta | None
    runs: timedelta | None

    @classmethod
    def of_days(cls, *, steps: int, runs: int) -> "Terms":
        """From the settings, where 0 means for ever. Steps never outlive their runs."""
        kept = timedelta(days=runs) if runs else None
        wanted = timedelta(days=steps) if steps else None
        if kept is not None and (wanted is None or wanted > kept):
            wanted = kept
        return cls(wanted, kept)


class Housekeeper:
    """Keeps house beside other work of a process, whose connections it uses."""

    def __init__(self, database: Database, connection: EngineConnection, terms: Terms) -> None:
        self._database = database
        self._connection = connection
        self._terms = terms
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, on the running loop."""
        loops = (self._fold_loop, self._round_loop)
        self._tasks = [keep_going(loop, name="housekeeping") for loop in loops]

    async def stop(self) -> None:
        """Stop; what was not done is done by another process, or later."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def keep_house(self) -> None:
        """One round of everything but usage."""
        now = datetime.now(UTC)
        made = await make_partitions(self._database, now)
        keys = await prune_keys(self._database)
        weeks: list[str] = []
        if self._terms.steps is not None:
            weeks = await drop_weeks(self._database, now - self._terms.steps)
            await clear_default(self._database, now - self._terms.steps, limit=BATCH)
        runs = blobs = 0
        for workspace in await all_workspaces(self._database):
            if self._terms.runs is not None:
                runs += await delete_runs(self._database, workspace, now - self._terms.runs)
            blobs += await collect_blobs(self._database, workspace)
        if made or weeks or keys or runs or blobs:
            log.info(
                "house.kept", partitions=made, dropped=weeks, keys=keys, runs=runs, blobs=blobs
            )

    async def _fold_loop(self) -> None:
        while True:
            with suppress(DatabaseAway, CommitRefused):
                await fold_usage(self._connection)
            await asyncio.sleep(FOLD_S * random.uniform(0.8, 1.2))  # noqa: S311 - no secret

    async def _round_loop(self) -> None:
        while True:
            try:
                await self.keep_house()
            except SQLAlchemyError as error:
                log.warning("house.left", reason=str(error))
            await asyncio.sleep(ROUND_S * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
