"""How long a run has been at work, over all its owners: its time without waiting."""

from dataclasses import dataclass
from datetime import timedelta

from psycopg.rows import class_row

from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.ids import RunId

_WORKED = """
SELECT coalesce(sum(extract(epoch FROM t.until - t.since)), 0)::float8 AS seconds FROM (
    SELECT min(l.at) AS since,
        coalesce(min(l.at) FILTER (WHERE l.entry->>'t' = 'run.waiting'), max(l.at)) AS until
    FROM (
        SELECT at, entry, count(*) FILTER (WHERE entry->>'t' IN ('run.started', 'run.resumed'))
            OVER (ORDER BY seq) AS turn
        FROM log WHERE run_id = %s AND seq < %s
    ) l WHERE l.turn > 0 GROUP BY l.turn
) t
"""
"""Of a turn that a crash ended, the time after its last entry is not known and not counted."""


@dataclass(frozen=True, slots=True)
class _Worked:
    seconds: float


class Hours:
    """Reads it from the logs."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def worked(self, run: RunId, *, before: int) -> timedelta:
        """The time that the log up to an entry accounts for."""
        rows = await self._connection.fetch_surely(_WORKED, (run, before), row=class_row(_Worked))
        return timedelta(seconds=rows[0].seconds)
