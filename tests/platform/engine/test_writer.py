"""Commits: guarded by epoch and seq, many runs in one, safe to repeat."""

import asyncio

import pytest
import uvloop
from tests.platform.engine.conftest import Engine, step

from treadle.agents.errors import LeaseLost
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.entries import run_entry, step_entry
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import Lease, Release, RunStatus
from treadle.platform.engine.writer import LogWriter

pytestmark = pytest.mark.slow


async def test_a_run_is_claimed_once(engine: Engine) -> None:
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    assert await engine.claim(run, worker="w2") == []
    assert (claimed.epoch, claimed.seq) == (1, 2)
    assert await engine.row(run) == ("running", 1, 2, 0)
    assert [entry for _, entry, _ in await engine.log(run)] == ["run.queued", "run.started"]


def test_a_commit_that_is_due_at_once_takes_more_entries() -> None:
    """On uvloop, which workers run on, the timer of a moment that is here has no time of its own.

    With another thread at work any moment may be here by the time the timer is made.
    """

    async def append_twice() -> None:
        connection = EngineConnection("postgresql://nowhere/none")
        writer = LogWriter(connection, on_committed=lambda _: None, linger_s=0.0)
        lease = Lease(RunId(new_id()), WorkspaceId(new_id()), epoch=1, seq=1)
        for path in ("a", "b"):
            writer.append(lease, step_entry(step(path, 1)))
        commit = lease.take()
        assert commit is not None
        assert len(commit.entries) == 2

    uvloop.run(append_twice())


async def test_entries_are_committed_in_order(engine: Engine) -> None:
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    lease, written = claimed.lease(), engine.writer()
    written.writer.append(lease, step_entry(step("a", 1)), step_entry(step("b", 2)))
    await written.writer.settle(lease)
    written.writer.append(lease, step_entry(step("c", 3)))
    await written.writer.release(
        lease, Release(RunStatus.SUCCEEDED, outputs='{"x": 1}'), run_entry("succeeded")
    )
    assert await engine.log(run) == [
        (1, "run.queued", None),
        (2, "run.started", None),
        (3, "step.succeeded", "a"),
        (4, "step.succeeded", "b"),
        (5, "step.succeeded", "c"),
        (6, "run.succeeded", None),
    ]
    assert await engine.row(run, "status, outputs, worker") == ("succeeded", {"x": 1}, None)


async def test_a_run_of_pure_nodes_is_claimed_and_finished_in_one_commit(engine: Engine) -> None:
    run = await engine.accept(is_pure=True)
    (claimed,) = await engine.claim(run)
    assert await engine.row(run) == ("queued", 0, 1, 0)
    lease, written = claimed.lease(), engine.writer()
    written.writer.append(lease, run_entry("started"), step_entry(step("a", 1)))
    await asyncio.sleep(0.02)
    assert await engine.row(run) == ("queued", 0, 1, 0)
    await written.writer.release(lease, Release(RunStatus.SUCCEEDED), run_entry("succeeded"))
    assert await engine.row(run) == ("succeeded", 1, 4, 0)
    assert len(written.committed) == 1


async def test_of_two_that_finish_a_pure_run_one_writes(engine: Engine) -> None:
    run = await engine.accept(is_pure=True)
    (first,), (second,) = await engine.claim(run), await engine.claim(run, worker="w2")
    writer = engine.writer().writer
    done = Release(RunStatus.SUCCEEDED, outputs="1")
    await writer.release(first.lease(), done, run_entry("succeeded"))
    with pytest.raises(LeaseLost):
        await writer.release(second.lease(), done, run_entry("succeeded"))
    assert len(await engine.log(run)) == 2


async def test_a_zombie_writes_nothing(engine: Engine) -> None:
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    zombie, writer = claimed.lease(), engine.writer().writer
    await engine.sql("UPDATE runs SET status = 'queued', worker = NULL WHERE id = %s", run)
    (taken,) = await engine.claim(run, worker="w2")
    writer.append(zombie, step_entry(step("a", "from the dead")))
    with pytest.raises(LeaseLost):
        await writer.settle(zombie)
    with pytest.raises(LeaseLost):
        await writer.release(zombie, Release(RunStatus.SUCCEEDED), run_entry("succeeded"))
    assert await engine.row(run) == ("running", taken.epoch, taken.seq, 0)
    assert [path for _, _, path in await engine.log(run)] == [None, None, None]


async def test_a_lost_run_costs_the_others_of_its_batch_nothing(engine: Engine) -> None:
    runs = [await engine.accept() for _ in range(5)]
    leases = {claimed.id: claimed.lease() for claimed in await engine.claim(*runs)}
    await engine.sql("UPDATE runs SET epoch = epoch + 1 WHERE id = %s", runs[2])
    writer = engine.writer().writer
    for lease in leases.values():
        writer.append(lease, step_entry(step("a", 1)))
    outcomes = await asyncio.gather(
        *(writer.settle(leases[run]) for run in runs), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [
        type(None), type(None), LeaseLost, type(None), type(None),
    ]  # fmt: skip
    assert [len(await engine.log(run)) for run in runs] == [3, 3, 2, 3, 3]


async def test_many_runs_share_commits(engine: Engine) -> None:
    runs = [await engine.accept() for _ in range(30)]
    leases = [claimed.lease() for claimed in await engine.claim(*runs)]
    writer = engine.writer().writer
    before = await commits(engine)

    async def work(number: int) -> None:
        for path in ("a", "b", "c"):
            writer.append(leases[number], step_entry(step(path, 1)))
            await writer.settle(leases[number])

    await asyncio.gather(*(work(number) for number in range(30)))
    assert await commits(engine) - before <= 12
    assert [len(await engine.log(run)) for run in runs] == [5] * 30


async def commits(engine: Engine) -> int:
    rows = await engine.sql("SELECT count(DISTINCT xmin::text) FROM log")
    count = rows[0][0]
    assert isinstance(count, int)
    return count


async def test_a_commit_of_unknown_outcome_is_made_once(engine: Engine) -> None:
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    lease, written = claimed.lease(), engine.writer()
    for number in range(10):
        written.writer.append(lease, step_entry(step(f"s{number}", number)))
        settling = asyncio.create_task(written.writer.settle(lease))
        await asyncio.sleep(0.001 * number / 3)
        await engine.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() AND query LIKE %s",
            "%UPDATE runs r SET%",
        )
        await settling
    assert [path for _, _, path in await engine.log(run)][2:] == [f"s{n}" for n in range(10)]


async def test_a_large_output_is_stored_apart_and_comes_back(engine: Engine) -> None:
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    lease, writer = claimed.lease(), engine.writer().writer
    writer.append(lease, step_entry(step("a", {"text": "x" * 40_000})))
    await writer.settle(lease)
    ((size, ref),) = await engine.sql(
        "SELECT entry->'large'->>'size', entry->'large'->>'$ref' FROM log WHERE run_id = %s"
        " AND seq = 3",
        run,
    )
    assert (size, len(str(ref))) == ("40011", 64)


async def test_odd_characters_and_numbers_survive(engine: Engine) -> None:
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    lease, writer = claimed.lease(), engine.writer().writer
    writer.append(
        lease, step_entry(step("a", {"nul": "\x00", "half": "\ud800", "nan": float("nan")}))
    )
    await writer.settle(lease)
    ((entry,),) = await engine.sql("SELECT entry FROM log WHERE run_id = %s AND seq = 3", run)
    assert isinstance(entry, dict)
    assert entry["output"] == {"nul": "\x00", "half": "\ud800", "nan": None}
