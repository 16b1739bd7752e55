"""Parked runs: no worker has them, no signal is lost, and what comes is heard while they run."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from tests.platform.engine.conftest import Engine, step

from treadle.agents.interpreter import Gate
from treadle.agents.ports import Outcome, Parked, StepStatus, Succeeded, Wait, WaitKind
from treadle.agents.values import JsonValue
from treadle.platform.db.ids import new_id
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.errors import DatabaseAway
from treadle.platform.engine.host import RunHost
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.journal import RunJournal

pytestmark = pytest.mark.slow
SIGNAL = """
    UPDATE runs SET signals = signals + 1,
        status = CASE WHEN status = 'waiting' THEN 'queued' ELSE status END WHERE id = %s
"""
ANSWER = "UPDATE waits SET answer = '\"yes\"', answered_at = now() WHERE run_id = %s"


@dataclass
class Asks:
    """A runner that asks once, and parks unless the answer is there or it listens."""

    listens: bool = False
    before_parking: asyncio.Event | None = None
    turns: int = 0
    wait: str = field(default_factory=lambda: str(new_id()))
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def advance(self, run: ClaimedRun, journal: RunJournal, gate: Gate) -> Outcome:
        self.turns += 1
        wait = Wait(WaitKind.APPROVAL, self.wait, "ask", "ask", None)
        if journal.earlier("ask", call="answer") is None:
            extra: dict[str, JsonValue] = {
                "wait": {"kind": "approval", "id": self.wait, "until": None},
                "asked": {},
            }
            waiting = step("ask", status=StepStatus.WAITING)
            journal.append(waiting, replace(waiting, call="answer", extra=extra))
        await journal.durable()
        self.opened.set()
        if self.before_parking is not None:
            await self.before_parking.wait()
            self.before_parking = None
            return Parked((wait,), "waiting")
        answer = asyncio.create_task(journal.inbox.answer(self.wait))
        await asyncio.wait([answer], timeout=5 if self.listens else 0.05)
        if not answer.done():
            answer.cancel()
            return Parked((wait,), "waiting")
        return Succeeded({"answer": answer.result().value})


async def begun(engine: Engine, asks: Asks, *, sweep_s: float = 0.1) -> tuple[RunHost, RunId]:
    host, run = engine.host(asks, sweep_s=sweep_s), await engine.accept()
    await host.start()
    host.ring([run])
    async with asyncio.timeout(60):
        await asks.opened.wait()
    return host, run


async def test_a_parked_run_is_in_no_hosts_memory(engine: Engine) -> None:
    asks = Asks()
    host, run = await begun(engine, asks)
    await engine.until(run, "waiting")
    await asyncio.sleep(0.05)
    assert host.active == frozenset()
    assert await engine.row(run, "worker") == (None,)
    await engine.sql(ANSWER, run)
    await engine.sql(SIGNAL, run)
    await engine.until(run, "succeeded")
    assert (await engine.row(run, "outputs"))[0] == {"answer": "yes"}
    assert asks.turns == 2


async def test_a_run_does_not_park_over_a_signal_it_has_not_seen(engine: Engine) -> None:
    asks = Asks(before_parking=asyncio.Event())
    _, run = await begun(engine, asks, sweep_s=60)
    await engine.sql(ANSWER, run)
    await engine.sql(SIGNAL, run)
    assert asks.before_parking is not None
    asks.before_parking.set()
    async with asyncio.timeout(60):
        while (await engine.row(run))[0] != "queued":  # noqa: ASYNC110 - it is in SQL
            await asyncio.sleep(0.02)
        while not engine.bell.rung:  # noqa: ASYNC110 - after the commit
            await asyncio.sleep(0.02)
    assert engine.bell.rung == [run]


async def test_a_run_does_not_park_over_a_signal_that_came_when_it_no_longer_listened(
    engine: Engine,
) -> None:
    asks = Asks(before_parking=asyncio.Event())
    _, run = await begun(engine, asks, sweep_s=0.05)
    await engine.sql(ANSWER, run)
    await engine.sql(SIGNAL, run)
    await asyncio.sleep(0.5)  # the sweep has brought the answer, and nobody took it
    assert asks.before_parking is not None
    asks.before_parking.set()
    await engine.until(run, "succeeded", timeout_s=30)
    assert asks.turns == 2


async def test_a_run_without_its_database_for_a_moment_is_put_back(engine: Engine) -> None:
    runner = LosesTheDatabase()
    run = await engine.accept()
    host = engine.host(runner, sweep_s=0.1)
    await host.start()
    host.ring([run])
    await engine.until(run, "succeeded", timeout_s=30)
    assert runner.turns == 2


class LosesTheDatabase:
    """A runner that cannot reach the database at its first turn."""

    def __init__(self) -> None:
        self.turns = 0

    async def advance(self, run: ClaimedRun, journal: RunJournal, gate: Gate) -> Outcome:
        self.turns += 1
        if self.turns == 1:
            raise DatabaseAway("gone")
        return Succeeded({})


async def test_a_signal_whose_hint_was_lost_is_found_by_the_sweep(engine: Engine) -> None:
    asks = Asks(listens=True)
    _, run = await begun(engine, asks, sweep_s=0.1)
    await engine.sql(ANSWER, run)
    await engine.sql(SIGNAL, run)
    await engine.until(run, "succeeded", timeout_s=30)
    assert asks.turns == 1


async def test_a_fenced_worker_opens_no_wait(engine: Engine) -> None:
    asks = Asks(before_parking=asyncio.Event())
    run = await engine.accept()
    (claimed,) = await engine.claim(run)
    await engine.sql("UPDATE runs SET epoch = epoch + 1 WHERE id = %s", run)
    lease, writer = claimed.lease(), engine.writer().writer
    journal = RunJournal(lease, writer, ledger={}, on_delta=lambda _run, _path, _text: None)
    with pytest.raises(Exception, match="belongs to somebody else"):
        await asks.advance(claimed, journal, Gate())
    assert await engine.sql("SELECT id FROM waits WHERE run_id = %s", run) == []
