"""Retention: old data goes, what anything still needs stays."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.db.metadata import metadata
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.files.content import put_blob
from treadle.platform.housekeeping.keeper import Housekeeper, Terms
from treadle.platform.housekeeping.partitions import clear_default, drop_weeks, make_partitions
from treadle.platform.housekeeping.retention import collect_blobs, delete_runs, prune_keys
from treadle.platform.housekeeping.weeks import Week, first_id
from treadle.platform.tables import template_texts, workspaces

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=100)
MONTH = timedelta(days=30)
DIGEST = hashlib.sha256(b"x").digest()


@dataclass
class House:
    """A database of its own with one workspace in it."""

    database: Database
    workspace: WorkspaceId

    async def run(self, *, made: datetime, finished: datetime | None) -> UUID:
        run = UUID(int=first_id(made).int + new_id().int % (1 << 70))
        values = {
            "id": run,
            "sha": DIGEST,
            "status": "waiting" if finished is None else "succeeded",
            "at": made,
            "finished": finished,
        }
        async with self.database.tenant(self.workspace) as tx:
            await tx.execute(
                text("""
                    INSERT INTO runs (id, root_id, template, version, sha256, trigger, owner,
                        settings, connections, is_pure, status, inputs, created_at, finished_at)
                    VALUES (:id, :id, 't', '1.0.0', :sha, 'api', '', '{}', '{}', false, :status,
                        '{}', :at, :finished)
                """),
                values,
            )
            await tx.execute(
                text("INSERT INTO log (run_id, seq, entry) VALUES (:id, 1, '{}')"),
                {"id": run},
            )
            await tx.execute(
                text("INSERT INTO run_values (run_id, ref, content) VALUES (:id, 'r', '1')"),
                {"id": run},
            )
        return run

    async def logged(self) -> set[UUID]:
        async with self.database.tenant(self.workspace) as tx:
            rows = (await tx.execute(text("SELECT run_id FROM log"))).all()
            values = (await tx.execute(text("SELECT run_id FROM run_values"))).all()
        assert {row.run_id for row in rows} == {row.run_id for row in values}
        return {row.run_id for row in rows}

    async def count(self, name: str) -> int:
        table = metadata.tables[name]
        async with self.database.tenant(self.workspace) as tx:
            found: int = (await tx.execute(select(func.count()).select_from(table))).scalar_one()
        return found

    async def partitions(self) -> set[str]:
        query = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
        async with self.database.as_owner() as connection:
            return {row.relname for row in await connection.execute(query)}


@pytest.fixture
async def house(fresh_database_url: str) -> AsyncIterator[House]:
    database = Database(fresh_database_url, pool_size=4)
    workspace = WorkspaceId(new_id())
    async with database.tenant(workspace) as tx:
        await tx.execute(workspaces.insert().values(id=workspace, name="house"))
        await tx.execute(template_texts.insert().values(sha256=DIGEST, text="x"))
    yield House(database, workspace)
    await database.close()


def test_a_week_knows_its_ids() -> None:
    week = Week.of(NOW)
    assert week.start.weekday() == 0
    assert week.first_id <= new_id() < week.last_id
    assert Week.named(week.suffix) == week


async def test_partitions_are_made_ahead_and_once(house: House) -> None:
    made = await make_partitions(house.database, NOW)
    assert len(made) == 6
    assert f"log_{Week.of(NOW).suffix}" in made
    assert await make_partitions(house.database, NOW) == []


async def test_rows_go_to_the_partition_of_their_week(house: House) -> None:
    await make_partitions(house.database, NOW)
    run = await house.run(made=NOW, finished=NOW)
    query = text("SELECT tableoid::regclass::text AS place FROM log WHERE run_id = :id")
    async with house.database.tenant(house.workspace) as tx:
        place = (await tx.execute(query, {"id": run})).scalar_one()
    assert place == f"log_{Week.of(NOW).suffix}"


async def test_a_week_whose_rows_lie_in_the_default_partition_gets_none(house: House) -> None:
    await house.run(made=NOW, finished=NOW)
    assert len(await make_partitions(house.database, NOW)) == 4


async def test_an_old_week_is_dropped_and_what_is_needed_moves(house: House) -> None:
    await make_partitions(house.database, LONG_AGO)
    old = await house.run(made=LONG_AGO, finished=LONG_AGO)
    waiting = await house.run(made=LONG_AGO, finished=None)
    lately = await house.run(made=LONG_AGO, finished=NOW)
    assert await house.logged() == {old, waiting, lately}
    before = await house.partitions()
    dropped = await drop_weeks(house.database, NOW - MONTH)
    assert len(dropped) == 6
    assert await house.partitions() == before - set(dropped)
    assert await house.logged() == {waiting, lately}
    assert await house.count("runs") == 3


async def test_what_moved_goes_once_it_is_old_enough(house: House) -> None:
    gone = await house.run(made=LONG_AGO, finished=LONG_AGO)
    waiting = await house.run(made=LONG_AGO, finished=None)
    assert await house.logged() == {gone, waiting}
    assert await clear_default(house.database, NOW - MONTH, limit=100) == 2
    assert await house.logged() == {waiting}


async def test_writers_go_on_while_weeks_are_dropped(house: House) -> None:
    await make_partitions(house.database, LONG_AGO)
    await make_partitions(house.database, NOW)
    for _ in range(5):
        await house.run(made=LONG_AGO, finished=LONG_AGO)
    writing = [house.run(made=NOW, finished=None) for _ in range(40)]
    dropping = asyncio.create_task(drop_weeks(house.database, NOW - MONTH))
    runs = await asyncio.gather(*writing)
    assert len(await dropping) == 6
    assert await house.logged() == set(runs)


async def test_old_runs_go_with_their_artifacts_and_waiting_ones_stay(house: House) -> None:
    old = await house.run(made=LONG_AGO, finished=LONG_AGO)
    await house.run(made=LONG_AGO, finished=None)
    await house.run(made=NOW, finished=NOW)
    async with house.database.tenant(house.workspace) as tx:
        digest = await put_blob(tx, b"content")
        insert = text("""
            INSERT INTO artifacts (id, run_id, path, name, media_type, size, sha256)
            VALUES (:id, :run, 'a', 'n', 'm', 7, :sha)
        """)
        await tx.execute(insert, {"id": new_id(), "run": old, "sha": digest})
    assert await delete_runs(house.database, house.workspace, NOW - MONTH) == 1
    assert (await house.count("runs"), await house.count("artifacts")) == (2, 0)


async def age_blobs(house: House) -> None:
    async with house.database.tenant(house.workspace) as tx:
        await tx.execute(text("UPDATE blobs SET created_at = now() - interval '2 days'"))


async def refer(house: House, content: bytes) -> None:
    async with house.database.tenant(house.workspace) as tx:
        digest = await put_blob(tx, content)
        insert = text("""
            INSERT INTO files (id, name, media_type, size, sha256) VALUES (:id, 'n', 'm', 1, :sha)
        """)
        await tx.execute(insert, {"id": new_id(), "sha": digest})


async def test_content_goes_a_day_after_its_last_reference(house: House) -> None:
    await refer(house, b"kept")
    async with house.database.tenant(house.workspace) as tx:
        await put_blob(tx, b"left")
    assert await collect_blobs(house.database, house.workspace) == 0
    await age_blobs(house)
    assert await collect_blobs(house.database, house.workspace) == 1
    assert await house.count("blobs") == 1


async def test_content_that_is_referred_to_again_meanwhile_stays(house: House) -> None:
    async with house.database.tenant(house.workspace) as tx:
        digest = await put_blob(tx, b"again")
    await age_blobs(house)
    async with house.database.tenant(house.workspace) as tx:
        await put_blob(tx, b"again")
        collecting = asyncio.create_task(collect_blobs(house.database, house.workspace))
        await asyncio.sleep(0.2)
        assert not collecting.done()
        insert = text("""
            INSERT INTO files (id, name, media_type, size, sha256) VALUES (:id, 'n', 'm', 1, :sha)
        """)
        await tx.execute(insert, {"id": new_id(), "sha": digest})
    assert await collecting == 0
    assert await house.count("blobs") == 1


async def test_keys_go_after_a_day(house: House) -> None:
    insert = text("""
        INSERT INTO idempotency_keys (key, fingerprint, status, sealed, is_final, created_at)
        VALUES (:key, '', 201, '', true, now() - make_interval(hours => :hours))
    """)
    async with house.database.tenant(house.workspace) as tx:
        for hours in (1, 23, 25, 100):
            await tx.execute(insert, {"key": str(hours), "hours": hours})
    assert await prune_keys(house.database) == 2
    assert await house.count("idempotency_keys") == 2


async def test_a_round_does_all_of_it(house: House, fresh_database_url: str) -> None:
    connection = EngineConnection(fresh_database_url)
    await make_partitions(house.database, LONG_AGO)
    await house.run(made=LONG_AGO, finished=LONG_AGO)
    keeper = Housekeeper(house.database, connection, Terms.of_days(steps=30, runs=90))
    await keeper.keep_house()
    await keeper.stop()
    await connection.close()
    assert (await house.logged(), await house.count("runs")) == (set(), 0)
    assert f"log_{Week.of(NOW).suffix}" in await house.partitions()


@pytest.mark.parametrize(
    ("steps", "runs", "expected"),
    [(30, 90, (30, 90)), (0, 90, (90, 90)), (30, 0, (30, None)), (0, 0, (None, None))],
)
def test_steps_never_outlive_their_run(
    steps: int, runs: int, expected: tuple[int | None, int | None]
) -> None:
    terms = Terms.of_days(steps=steps, runs=runs)
    days = [None if term is None else term.days for term in (terms.steps, terms.runs)]
    assert tuple(days) == expected
