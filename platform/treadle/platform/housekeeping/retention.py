"""Dropping what is old: runs with their artifacts, content without a reference, used keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import CursorResult

from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.housekeeping.weeks import first_id

BATCH = 1000
_MOST_BATCHES = 50
"""Of one kind at a time: what is left waits for the next round."""

_WORKSPACES = text("SELECT id FROM workspaces ORDER BY id")
_RUNS = text("""
    WITH old AS (
        SELECT id FROM runs WHERE id < :last AND finished_at < :cutoff
        ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM runs USING old WHERE runs.id = old.id RETURNING runs.id
    ), files AS (
        DELETE FROM artifacts WHERE run_id IN (SELECT id FROM gone)
    )
    SELECT id FROM gone
""")
# A new reference touches the row (`put_blob`), so that who waits here for its lock sees it young.
_BLOBS = text("""
    DELETE FROM blobs WHERE sha256 IN (
        SELECT sha256 FROM blobs b WHERE b.created_at < now() - interval '24 hours'
            AND NOT EXISTS (SELECT FROM files f
                WHERE f.workspace_id = b.workspace_id AND f.sha256 = b.sha256)
            AND NOT EXISTS (SELECT FROM artifacts a
                WHERE a.workspace_id = b.workspace_id AND a.sha256 = b.sha256)
        LIMIT :batch
    ) AND created_at < now() - interval '24 hours'
""")
_KEYS = text("""
    DELETE FROM idempotency_keys WHERE (workspace_id, key) IN (
        SELECT workspace_id, key FROM idempotency_keys
        WHERE created_at < now() - interval '24 hours' ORDER BY created_at LIMIT :batch
    )
""")


async def all_workspaces(database: Database) -> list[WorkspaceId]:
    """Every workspace there is."""
    async with database.as_engine() as connection:
        return [WorkspaceId(row.id) for row in await connection.execute(_WORKSPACES)]


async def delete_runs(database: Database, workspace: WorkspaceId, cutoff: datetime) -> int:
    """Delete a workspace's runs that finished before a time, with their artifacts."""
    total = 0
    for _ in range(_MOST_BATCHES):
        async with database.tenant(workspace) as tx:
            gone = await _delete_runs(tx, cutoff)
        total += len(gone)
        if len(gone) < BATCH:
            break
    return total


async def collect_blobs(database: Database, workspace: WorkspaceId) -> int:
    """Delete a workspace's content that nothing has referred to for a day."""
    total = 0
    for _ in range(_MOST_BATCHES):
        async with database.tenant(workspace) as tx:
            deleted = _count(await tx.execute(_BLOBS, {"batch": BATCH}))
        total += deleted
        if deleted < BATCH:
            break
    return total


async def prune_keys(database: Database) -> int:
    """Delete idempotency keys after a day."""
    total = 0
    for _ in range(_MOST_BATCHES):
        async with database.as_engine() as connection:
            deleted = _count(await connection.execute(_KEYS, {"batch": BATCH}))
        total += deleted
        if deleted < BATCH:
            break
    return total


async def _delete_runs(tx: TenantConnection, cutoff: datetime) -> list[UUID]:
    parameters = {"last": first_id(cutoff), "cutoff": cutoff, "batch": BATCH}
    return [row.id for row in await tx.execute(_RUNS, parameters)]


def _count(result: CursorResult[tuple[object, ...]]) -> int:
    return result.rowcount
