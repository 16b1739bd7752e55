"""A worker's host: claims, resumes, hands over, cancels; bells may be lost, doubled or late."""

import asyncio
import json

import psycopg
import pytest
from tests.platform.engine.conftest import Engine, Script, step
from typing_extensions import override

from treadle.agents.interpreter import Gate
from treadle.agents.ports import Outcome
from treadle.platform.engine.broadcast import open_redis
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.entries import step_entry
from treadle.platform.engine.hints import CANCELS
from treadle.platform.engine.host import MOST_FAULTS, RunHost
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.journal import RunJournal

pytestmark = pytest.mark.slow


async def test_a_rung_run_is_carried_out(engine: Engine) -> None:
    run, script = await engine.accept(), Script()
    host = engine.host(script, sweep_s=60)
    await host.start()
    host.ring([run])
    await engine.until(run, "succeeded")
    assert script.began == {"a": 1, "b": 1}
    assert await engine.row(run, "outputs, error, worker") == ({"done": ["a", "b"]}, None, None)


async def test_a_doubled_bell_changes_nothing(engine: Engine) -> None:
    run, script = await engine.accept(), Script()
    hosts = [engine.host(script, name=name, sweep_s=60) for name in ("w1", "w2")]
    for host in hosts:
        await host.start()
    for _ in range(3):
        for host in hosts:
            host.ring([run, run])
    await engine.until(run, "succeeded")
    for host in hosts:
        host.ring([run])
    await asyncio.sleep(0.1)
    assert script.began == {"a": 1, "b": 1}
    assert (await engine.row(run))[1:3] == (1, 5)


async def test_a_starting_worker_finds_what_is_queued(engine: Engine) -> None:
    run, script = await engine.accept(), Script()
    await engine.host(script, sweep_s=60).start()
    await engine.until(run, "succeeded", timeout_s=30)
    assert script.began == {"a": 1, "b": 1}


async def test_others_are_rung_for_a_run_that_has_no_place_here(engine: Engine) -> None:
    script = Script(holds=asyncio.Event())
    await engine.host(script, concurrency=1).start()
    first = await engine.accept()
    await engine.until(first, "running")
    second = await engine.accept()
    async with asyncio.timeout(30):
        while second not in engine.bell.rung:  # noqa: ASYNC110 - a list of the test's own
            await asyncio.sleep(0.02)
    assert script.holds is not None
    script.holds.set()
    for run in (first, second):
        await engine.until(run, "succeeded")


async def test_a_run_whose_bell_was_lost_is_found(engine: Engine) -> None:
    """The worker looks itself: others note that they rang, even where nobody heard it."""
    script = Script()
    await engine.host(script, ring_again_s=3600).start()
    for run in (await engine.accept(), await engine.accept()):
        await engine.until(run, "succeeded", timeout_s=30)


async def test_a_new_process_of_the_same_name_takes_back_what_it_left(engine: Engine) -> None:
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    lease, writer = claimed.lease(), engine.writer().writer
    writer.append(lease, step_entry(step("a", {"n": 1})))
    await writer.settle(lease)
    script = Script()
    await engine.host(script, sweep_s=60).start()
    await engine.until(run, "succeeded")
    assert script.began == {"b": 1}
    assert [kind for _, kind, _ in await engine.log(run)] == [
        "run.queued", "run.started", "step.succeeded", "run.resumed", "step.succeeded",
        "run.succeeded",
    ]  # fmt: skip


class Faulty(Script):
    """Has a fault of its own behind its first step, so many times."""

    faults = 1

    @override
    async def advance(self, run: ClaimedRun, journal: RunJournal, gate: Gate) -> Outcome:
        if journal.finished("a") is None:
            journal.append(step("a", {"n": 1}))
            await journal.durable()
        if self.faults > 0:
            self.faults -= 1
            raise AttributeError("of the engine's own")
        return await super().advance(run, journal, gate)


async def test_a_fault_of_ours_is_tried_again(engine: Engine) -> None:
    run, script = await engine.accept(), Faulty()
    await engine.host(script).start()
    await engine.until(run, "succeeded")
    assert script.began == {"b": 1}


async def test_a_fault_that_stays_fails_the_run(engine: Engine) -> None:
    run, script = await engine.accept(), Faulty()
    script.faults = 1_000
    await engine.host(script).start()
    await engine.until(run, "failed")
    assert 1_000 - script.faults == MOST_FAULTS
    assert await engine.row(run, "error->>'class', error->>'code'") == ("internal", "internal")


async def test_the_runs_of_a_dead_worker_go_to_another(engine: Engine) -> None:
    run = await engine.accept()
    await engine.claim(run, worker="gone")
    script = Script()
    await engine.host(script, name="w2").start()
    await engine.until(run, "succeeded")
    assert (await engine.row(run))[3] == 0
    assert script.began == {"a": 1, "b": 1}


async def test_what_kills_its_worker_three_times_is_quarantined(engine: Engine) -> None:
    run = await engine.accept()
    await engine.host(Script(), name="w2").start()
    for _ in range(2):
        await engine.sql(
            "UPDATE runs SET status = 'running', worker = 'gone', epoch = epoch + 1,"
            " crashes = 2 WHERE id = %s",
            run,
        )
    await engine.until(run, "failed")
    assert await engine.row(run, "error->>'class', error->>'code'") == (
        "worker_crash", "worker_crash",
    )  # fmt: skip
    assert (await engine.log(run))[-1][1] == "run.failed"


async def test_runs_that_one_more_crash_would_quarantine_are_tried_one_at_a_time(
    engine: Engine,
) -> None:
    """When the worker dies, only the one on trial can be to blame."""
    runs = [await engine.accept() for _ in range(3)]
    for run in runs:
        await engine.sql("UPDATE runs SET crashes = 2 WHERE id = %s", run)
    script = Script(steps=("a",), holds=asyncio.Event())
    host = engine.host(script, sweep_s=60)
    await host.start()
    host.ring(runs)
    await began(script, "a")
    await asyncio.sleep(0.2)
    assert len(host.active) == 1
    assert script.holds is not None
    script.holds.set()  # the first gets somewhere, so the next may be tried
    for run in runs:
        await engine.until(run, "succeeded")


async def test_a_cancelled_run_stops_at_once(engine: Engine, redis_url: str) -> None:
    run, script = await engine.accept(), Script(holds=asyncio.Event())
    host = engine.host(script, sweep_s=60, beat_s=60)
    await host.start()
    host.ring([run])
    await began(script, "b")
    await engine.sql("UPDATE runs SET status = 'cancelled', epoch = epoch + 1 WHERE id = %s", run)
    async with open_redis(redis_url) as redis:
        await redis.publish(CANCELS, json.dumps([str(run)]))  # pyright: ignore[reportUnknownMemberType]  # as redis types it
    assert script.holds is not None
    script.holds.set()
    await gone(host, run)
    assert (await engine.row(run))[0] == "cancelled"


async def test_a_run_that_a_claim_brings_while_the_worker_drains_is_not_begun(
    engine: Engine,
) -> None:
    script = Script()
    host = engine.host(script, sweep_s=60, beat_s=60)
    await host.start()
    first = await engine.accept()
    host.ring([first])
    await engine.until(first, "succeeded")  # so its first look is over
    script.began.clear()
    run = await engine.accept()
    async with await psycopg.AsyncConnection.connect(engine.url) as blocking:
        await blocking.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        host.ring([run])
        await asyncio.sleep(0.2)  # the claim waits for the table
        draining = asyncio.create_task(host.drain())
        await asyncio.sleep(0.2)
        await blocking.commit()
        await draining
    assert script.began == {}
    assert (await engine.row(run))[0] == "queued"


async def test_a_draining_worker_hands_over_what_it_did_not_finish(engine: Engine) -> None:
    run, script = await engine.accept(), Script(steps=("a", "b", "c"))
    script.holds = asyncio.Event()
    host = engine.host(script)
    await host.start()
    host.ring([run])
    await began(script, "c")
    asyncio.get_running_loop().call_later(0.1, script.holds.set)
    await host.drain()
    assert (await engine.row(run))[0] == "succeeded"
    assert await engine.sql("SELECT name FROM workers") == []


async def test_a_replaced_worker_stops(engine: Engine) -> None:
    run, script = await engine.accept(), Script(holds=asyncio.Event())
    old = engine.host(script, sweep_s=60)
    await old.start()
    old.ring([run])
    await began(script, "b")
    young = Script()
    await engine.host(young, sweep_s=60).start()
    await engine.until(run, "succeeded")
    assert young.began == {"b": 1}
    assert script.holds is not None
    script.holds.set()
    await gone(old, run)
    assert len(await engine.log(run)) == 6


async def began(script: Script, path: str) -> None:
    async with asyncio.timeout(60):
        while path not in script.began:  # noqa: ASYNC110 - no event is worth a port here
            await asyncio.sleep(0.01)


async def gone(host: RunHost, run: RunId) -> None:
    async with asyncio.timeout(60):
        while run in host.active:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
