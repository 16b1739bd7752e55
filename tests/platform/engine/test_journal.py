"""The journal over SQL keeps the contract that every journal keeps."""

import asyncio

import pytest
from tests.contract.journal import JournalContract
from tests.platform.engine.conftest import Engine, step
from typing_extensions import override

from treadle.agents.errors import LeaseLost
from treadle.agents.ports import Journal, StepRecord, StepStatus
from treadle.platform.engine.claims import Claims
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.journal import RunJournal

pytestmark = pytest.mark.slow


async def take(engine: Engine, run: RunId) -> RunJournal:
    """The journal of the run's next owner."""
    await engine.sql("UPDATE runs SET status = 'queued' WHERE id = %s", run)
    connection = EngineConnection(engine.url)
    claims = Claims(connection, worker="w1")
    (claimed,) = await claims.take([run])
    ledgers = await claims.ledgers([run])
    await connection.close()
    return RunJournal(
        claimed.lease(),
        engine.writer().writer,
        ledger=ledgers[run],
        on_delta=drop,
    )


def drop(run: RunId, record: StepRecord, text: str) -> None:
    """Nobody watches."""


class TestSqlJournal(JournalContract):
    @pytest.fixture(autouse=True)
    async def _run(self, engine: Engine) -> None:
        self.engine = engine
        self.run = await engine.accept()

    @override
    async def reopen(self) -> Journal:
        return await take(self.engine, self.run)


async def test_a_large_output_is_loaded_for_the_next_owner(engine: Engine) -> None:
    run = await engine.accept()
    journal = await take(engine, run)
    journal.append(step("a", {"text": "x" * 40_000}))
    await journal.durable()
    found = (await take(engine, run)).finished("a")
    assert found is not None
    assert found.output == {"text": "x" * 40_000}


async def test_an_owner_that_was_replaced_is_told(engine: Engine) -> None:
    run = await engine.accept()
    old = await take(engine, run)
    young = await take(engine, run)
    old.append(step("a", "old"))
    young.append(step("a", "young"))
    await young.durable()
    with pytest.raises(LeaseLost):
        await old.durable()
    found = (await take(engine, run)).finished("a")
    assert found is not None
    assert found.output == "young"


async def test_that_a_step_began_is_waited_for_by_nobody(engine: Engine) -> None:
    run = await engine.accept()
    journal = await take(engine, run)
    before = await engine.row(run)
    journal.append(step("a", status=StepStatus.RUNNING))
    await journal.durable()
    assert await engine.row(run) == before
    async with asyncio.timeout(60):
        while (await engine.log(run))[-1][1] != "step.running":  # noqa: ASYNC110 - it is in SQL
            await asyncio.sleep(0.02)
    journal.append(step("a", 1))
    await journal.durable()
    assert [kind for _, kind, _ in await engine.log(run)][-2:] == [
        "step.running",
        "step.succeeded",
    ]


async def test_a_step_that_ended_before_the_commit_has_one_entry(engine: Engine) -> None:
    """The beginning of another step, which still runs, is written with it."""
    run = await engine.accept()
    journal = await take(engine, run)
    written = len(await engine.log(run))
    for path in ("a", "b"):
        journal.append(step(path, status=StepStatus.RUNNING))
    journal.append(step("a", 1))
    await journal.durable()
    assert [(kind, path) for _, kind, path in (await engine.log(run))[written:]] == [
        ("step.running", "b"),
        ("step.succeeded", "a"),
    ]
