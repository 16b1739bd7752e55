"""What finished runs of an agent took."""

from uuid import UUID

from sqlalchemy import text

from treadle.agents.plan import Spent
from treadle.platform.db.database import TenantConnection

MOST_RUNS = 20

# A step's last entry has the usage of all its attempts; entries inside it (`call.…`) are not added.
_SPENT = text(
    """
    SELECT r.id, extract(epoch FROM r.finished_at - r.started_at)::float8 AS seconds,
        count(l.*) AS steps,
        coalesce(sum((l.entry->'usage'->>'model_calls')::bigint), 0) AS model_calls,
        coalesce(sum((l.entry->'usage'->>'input_tokens')::bigint
            + (l.entry->'usage'->>'output_tokens')::bigint), 0) AS tokens
    FROM (
        SELECT id, started_at, finished_at FROM runs
        WHERE agent_id = :agent AND sha256 = :sha256 AND status = 'succeeded'
            AND started_at IS NOT NULL
        ORDER BY id DESC LIMIT :most
    ) r
    JOIN log l ON l.run_id = r.id
        AND l.entry->>'t' IN ('step.succeeded', 'step.recovered', 'step.skipped', 'step.failed')
    GROUP BY r.id, r.started_at, r.finished_at
    """
)


async def spent_by_runs(tx: TenantConnection, agent: UUID, sha256: bytes) -> list[Spent]:
    """What the last good runs of an agent with the same template took."""
    values = {"agent": agent, "sha256": sha256, "most": MOST_RUNS}
    rows = await tx.execute(_SPENT, values)
    return [
        Spent(
            steps=int(row.steps),
            model_calls=int(row.model_calls),
            tokens=int(row.tokens),
            seconds=float(row.seconds),
        )
        for row in rows
    ]
