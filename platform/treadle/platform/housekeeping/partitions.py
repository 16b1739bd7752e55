"""Partitions of `log` and `run_values`, one a week, made ahead and dropped whole.

Runs that still need theirs when a week is dropped (they wait, or ended lately) move to the default
partition, which is also where a row goes whose week has no partition.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from treadle.platform.db.database import Database
from treadle.platform.db.rls import ENGINE_ROLE
from treadle.platform.housekeeping.weeks import Week, first_id, weeks_from
from treadle.platform.log import get_log

# Names of tables in statements (S608) are ours, made of a constant and a date.
PARTITIONED = ("log", "run_values")
AHEAD = 3
MOST_KEPT = 10_000
"""Runs of a week that may move; a week of which more are needed waits for the next time."""

_LOCK = text("SELECT pg_try_advisory_xact_lock(7287323535)")
# Whoever waits for this lock makes all writers wait behind it: rather try again later.
_PATIENCE = text("SET LOCAL lock_timeout = '2s'")
_NEEDED = text("""
    SELECT id FROM runs WHERE id >= :first AND id < :last
        AND (finished_at IS NULL OR finished_at > :cutoff) LIMIT :most
""")
_PARTITIONS = text("""
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(:table) ORDER BY c.relname
""")

log = get_log(__name__)


async def make_partitions(database: Database, now: datetime) -> list[str]:
    """Make the partitions of this week and the next ones; returns the new ones."""
    made: list[str] = []
    async with database.as_owner() as connection:
        if not (await connection.execute(_LOCK)).scalar_one():
            return []
        await connection.execute(_PATIENCE)
        for table in PARTITIONED:
            there = await _partitions(connection, table)
            for week in weeks_from(now, AHEAD):
                name = f"{table}_{week.suffix}"
                if name not in there and await _is_free(connection, table, week):
                    await _make(connection, table, name, week)
                    made.append(name)
    return made


async def drop_weeks(database: Database, cutoff: datetime) -> list[str]:
    """Drop the steps of runs that finished before a time, by whole weeks; returns their tables."""
    dropped: list[str] = []
    async with database.as_owner() as connection:
        names = {table: await _partitions(connection, table) for table in PARTITIONED}
    for table, partitions in names.items():
        for name in partitions:
            suffix = name.removeprefix(f"{table}_")
            if suffix == "default" or Week.named(suffix).end > cutoff:
                continue
            if await _drop(database, table, Week.named(suffix), cutoff):
                dropped.append(name)
    return dropped


async def clear_default(database: Database, cutoff: datetime, *, limit: int) -> int:
    """Delete what moved to the default partitions and is needed no more; returns the rows."""
    rows = 0
    async with database.as_owner() as connection:
        for table in PARTITIONED:
            ids = await _old_ids(connection, table, cutoff, limit=limit)
            needed = set(await _needed(connection, UUID(int=0), first_id(cutoff), cutoff))
            gone = [run for run in ids if run not in needed]
            query = text(f"DELETE FROM {table}_default WHERE run_id = ANY(:ids)")  # noqa: S608 - our own name
            rows += (await connection.execute(query, {"ids": gone})).rowcount
    return rows


async def _drop(database: Database, table: str, week: Week, cutoff: datetime) -> bool:
    name = f"{table}_{week.suffix}"
    async with database.as_owner() as connection:
        if not (await connection.execute(_LOCK)).scalar_one():
            return False
        needed = await _needed(connection, week.first_id, week.last_id, cutoff)
        if len(needed) > MOST_KEPT:
            log.warning("retention.week_kept", table=name, runs=len(needed))
            return False
        await connection.execute(_PATIENCE)
        await connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {name}"))
        moved = f"SELECT * FROM {name} WHERE run_id = ANY(:ids)"  # noqa: S608 - our own name
        keep = f"INSERT INTO {table}_default {moved}"
        await connection.execute(text(keep), {"ids": needed})
        await connection.execute(text(f"DROP TABLE {name}"))
    return True


async def _needed(
    connection: AsyncConnection, first: UUID, last: UUID, cutoff: datetime
) -> list[UUID]:
    wanted = {"first": first, "last": last, "cutoff": cutoff, "most": MOST_KEPT + 1}
    await connection.execute(text(f"SET LOCAL ROLE {ENGINE_ROLE}"))
    found = [row.id for row in await connection.execute(_NEEDED, wanted)]
    await connection.execute(text("RESET ROLE"))
    return found


async def _old_ids(
    connection: AsyncConnection, table: str, cutoff: datetime, *, limit: int
) -> list[UUID]:
    place = f"{table}_default"
    query = f"SELECT DISTINCT run_id FROM {place} WHERE run_id < :last LIMIT :limit"  # noqa: S608 - our own name
    found = await connection.execute(text(query), {"last": first_id(cutoff), "limit": limit})
    return [row.run_id for row in found]


async def _partitions(connection: AsyncConnection, table: str) -> list[str]:
    return [row.relname for row in await connection.execute(_PARTITIONS, {"table": table})]


async def _is_free(connection: AsyncConnection, table: str, week: Week) -> bool:
    """Rows of a week that lie in the default partition already keep it from having its own."""
    place = f"{table}_default"
    query = f"SELECT FROM {place} WHERE run_id >= :first AND run_id < :last LIMIT 1"
    bounds = {"first": week.first_id, "last": week.last_id}
    return (await connection.execute(text(query), bounds)).first() is None


async def _make(connection: AsyncConnection, table: str, name: str, week: Week) -> None:
    bounds = f"FROM ('{week.first_id}') TO ('{week.last_id}')"
    for statement in (
        f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES {bounds}",
        # Whoever reads through the parent has its policies; directly only the owner may.
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY keeper ON {name} TO CURRENT_USER USING (true) WITH CHECK (true)",
    ):
        await connection.execute(text(statement))
