"""The sweep finds what no bell would: runs of the dead, due timers, runs that nobody claimed.

Every worker and scheduler may sweep at any time: each statement takes what it finds, once.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from treadle.integrations.errors import ErrorClass
from treadle.platform.engine import statements
from treadle.platform.engine.claims import MOST_CRASHES
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.entries import dump
from treadle.platform.engine.errors import DatabaseAway
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import RunStatus
from treadle.platform.engine.liveness import DEAD_AFTER_S

RING_AGAIN_S = 5.0

POISON = {
    "node": "",
    "path": "",
    "class": ErrorClass.WORKER_CRASH.value,
    "code": "worker_crash",
    "message": (
        f"the worker process died {MOST_CRASHES} times in a row while it ran this run, "
        "and no step was finished in between; look at what the running step asks for"
    ),
}


@dataclass(frozen=True, slots=True)
class _Found:
    id: RunId
    status: str = RunStatus.QUEUED.value


class Sweeper:
    """Sweeps under one connection.

    Args:
        dead_after_s: How long a worker may be silent before its runs are taken.
        ring_again_s: How long a queued run may go unclaimed before a bell is rung again.
    """

    def __init__(
        self,
        connection: EngineConnection,
        *,
        dead_after_s: float = DEAD_AFTER_S,
        ring_again_s: float = RING_AGAIN_S,
    ) -> None:
        self._connection = connection
        self._dead_after_s = dead_after_s
        self._ring_again_s = ring_again_s
        self._watching_since = time.monotonic()

    async def sweep(self) -> list[RunId]:
        """Do what is due; returns the queued runs to ring for. Raises `DatabaseAway`."""
        try:
            found = await self._take_from_the_dead()
            found += await self._find(statements.WAKE, ())
            found += await self._find(statements.RING_AGAIN, (self._ring_again_s,))
        except DatabaseAway:
            # While the database was away nobody could beat: give everybody a fresh chance.
            self._watching_since = time.monotonic()
            raise
        return [run.id for run in found if run.status == RunStatus.QUEUED]

    async def take_back(
        self, worker: str, *, incarnation: UUID, active: Collection[RunId]
    ) -> list[RunId]:
        """Requeue runs that say they are this worker's and are not; no claim may be under way.

        It counts as a crash: a run may be here because its writes are refused, again and again.
        """
        parameters = _abandon() | {
            "worker": worker,
            "incarnation": incarnation,
            "active": list(active),
        }
        found = await self._find(statements.ABANDON_LOST, parameters)
        return [run.id for run in found if run.status == RunStatus.QUEUED]

    async def _take_from_the_dead(self) -> list[_Found]:
        # A sweeper that just started, or whose database was away, cannot tell who is dead yet.
        if time.monotonic() - self._watching_since < self._dead_after_s:
            return []
        parameters = _abandon() | {"dead_after": self._dead_after_s}
        return await self._find(statements.ABANDON_DEAD, parameters)

    async def _find(
        self, statement: LiteralString, parameters: Sequence[object] | dict[str, object]
    ) -> list[_Found]:
        return await self._connection.fetch(statement, parameters, row=class_row(_Found))


def _abandon() -> dict[str, object]:
    return {
        "most": MOST_CRASHES,
        "error": dump(POISON),
        "entry": dump({"t": "run.failed", "error": POISON}),
    }
