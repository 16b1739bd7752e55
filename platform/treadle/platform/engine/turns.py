"""Whose turn it is: which queued runs a worker takes when not all have a place.

Bells say what is new, in the order in which it came. That is fair as long as all of it finds a
place. Where it does not, the order of bells is forgotten and the queue is asked: the most urgent
first, and among equals a run of the workspace that has the fewest here already. The last places of
a worker are kept for what people wait for: batches leave a quarter free, and all but chat a
sixteenth.

Limits of a workspace and of a template in it count runs that a worker advances, everywhere. Runs of
pure nodes are over before anybody could count them, so they have no limit.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg.rows import class_row

from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.ids import RunId

CHAT_PRIORITY = 10
"""Somebody looks at the screen and waits."""

INTERACTIVE_PRIORITY = 0
BATCH_PRIORITY = -10
"""Behind what somebody waits for."""

ANY_PRIORITY = -32768
_BATCH_LEAVES = 4
_ALL_BUT_CHAT_LEAVE = 16

_BUSY = """busy AS MATERIALIZED (
    SELECT workspace_id, template, count(*) AS runs FROM runs
    WHERE status = 'running' AND EXISTS (SELECT FROM limits) GROUP BY 1, 2
)"""

_QUEUED = f"""
WITH RECURSIVE spaces AS (
    (SELECT workspace_id FROM runs WHERE status = 'queued' ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT r.workspace_id FROM runs r
        WHERE r.status = 'queued' AND r.workspace_id > s.workspace_id
        ORDER BY r.workspace_id LIMIT 1
    ) FROM spaces s WHERE s.workspace_id IS NOT NULL
), {_BUSY}, full_up AS (
    SELECT l.workspace_id, l.template FROM limits l WHERE l.runs <= (
        SELECT coalesce(sum(b.runs), 0) FROM busy b
        WHERE b.workspace_id = l.workspace_id AND l.template IN ('', b.template)
    )
), here AS (
    SELECT * FROM unnest(%(spaces)s::uuid[], %(counts)s::int[]) AS h (workspace_id, runs)
)
SELECT c.id, c.priority FROM spaces s LEFT JOIN here h ON h.workspace_id = s.workspace_id, LATERAL (
    SELECT f.id, f.priority, row_number() OVER (ORDER BY f.priority DESC, f.id) AS turn FROM (
        SELECT r.id, r.priority FROM runs r
        WHERE r.status = 'queued' AND r.workspace_id = s.workspace_id
            AND (r.wake_at IS NULL OR r.wake_at <= now())
            AND r.priority >= %(least)s AND r.id <> ALL(%(active)s::uuid[])
            AND (r.is_pure OR NOT EXISTS (
                SELECT FROM full_up u
                WHERE u.workspace_id = r.workspace_id AND u.template IN ('', r.template)
            ))
        ORDER BY r.priority DESC, r.id LIMIT %(most)s
    ) f
) c
ORDER BY c.priority DESC, c.turn + coalesce(h.runs, 0), c.id LIMIT %(most)s
"""  # noqa: S608 - composed of literals
"""Costs what the workspaces that have queued runs cost, not what is queued: each is one look into
the index."""

WITHIN_LIMITS = f"""
WITH {_BUSY}, asked AS (
    SELECT id, workspace_id, template,
        row_number() OVER (PARTITION BY workspace_id ORDER BY priority DESC, id) AS of_space,
        row_number() OVER (PARTITION BY workspace_id, template ORDER BY priority DESC, id)
            AS of_template
    FROM runs WHERE id = ANY(%(runs)s::uuid[]) AND status = 'queued' AND NOT is_pure
)
SELECT r.id FROM runs r LEFT JOIN asked a ON a.id = r.id
WHERE r.id = ANY(%(runs)s::uuid[]) AND NOT EXISTS (
    SELECT FROM limits l
    WHERE l.workspace_id = a.workspace_id AND l.template IN ('', a.template) AND l.runs < (
        SELECT coalesce(sum(b.runs), 0) FROM busy b
        WHERE b.workspace_id = l.workspace_id AND l.template IN ('', b.template)
    ) + CASE WHEN l.template = '' THEN a.of_space ELSE a.of_template END
)
"""  # noqa: S608 - composed of literals

IS_HELD_BACK = """CASE WHEN runs.status = 'queued' AND NOT runs.is_pure
    AND (runs.wake_at IS NULL OR runs.wake_at <= now())
THEN EXISTS (
    SELECT FROM limits l
    WHERE l.workspace_id = runs.workspace_id AND l.template IN ('', runs.template) AND l.runs <= (
        SELECT count(*) FROM runs b
        WHERE b.status = 'running' AND b.workspace_id = l.workspace_id
            AND l.template IN ('', b.template)
    )
) ELSE false END"""
"""Of a row of `runs`: whether a limit holds it back. Looks at the limits only for a run that is
queued and due, and counts only where there is one."""

_ARE_LIMITED = "SELECT EXISTS (SELECT FROM limits) AS are"
# Claims of limited runs come one after the other, in all workers: the next counts what one took.
_LOCK_KEY = "7270153"
LOCK = f"SELECT pg_advisory_lock({_LOCK_KEY})"
UNLOCK = f"SELECT pg_advisory_unlock({_LOCK_KEY})"


@dataclass(frozen=True, slots=True)
class _Queued:
    id: RunId
    priority: int


@dataclass(frozen=True, slots=True)
class _Are:
    are: bool


class Turns:
    """The queue as one worker sees it.

    Attributes:
        are_limited: Whether any workspace has limits; learnt anew at every sweep.
    """

    def __init__(self, connection: EngineConnection, *, places: int) -> None:
        self._connection = connection
        self._places = places
        self.are_limited = False

    async def learn_limits(self) -> None:
        """Look whether there are limits. Raises `DatabaseAway`."""
        rows = await self._connection.fetch(_ARE_LIMITED, row=class_row(_Are))
        self.are_limited = rows[0].are

    def least_priority(self, free: int) -> int:
        """The least urgent runs that may have one of so many free places."""
        if free <= self._places // _ALL_BUT_CHAT_LEAVE:
            return CHAT_PRIORITY
        if free <= self._places // _BATCH_LEAVES:
            return INTERACTIVE_PRIORITY
        return ANY_PRIORITY

    def holds_back(self, free: int) -> bool:
        """Whether queued runs may be refused although there are places."""
        return self.are_limited or self.least_priority(free) > ANY_PRIORITY

    async def queued(
        self, free: int, *, active: Collection[RunId], spaces: Sequence[WorkspaceId]
    ) -> list[RunId]:
        """Queued runs for the free places. Raises `DatabaseAway`.

        `active` are the runs that are here, `spaces` their workspaces.
        """
        counts = Counter(spaces)
        rows = await self._connection.fetch(
            _QUEUED,
            {
                "spaces": list(counts),
                "counts": list(counts.values()),
                "active": list(active),
                "least": self.least_priority(free),
                "most": free,
            },
            row=class_row(_Queued),
        )
        return [
            row.id
            for taken, row in enumerate(rows)
            if row.priority >= self.least_priority(free - taken)
        ]
