"""Which queued runs come first, and how many may be at work."""

import asyncio
from dataclasses import dataclass, field

import pytest
from tests.platform.engine.conftest import DIGEST, TEXT, Engine, new_run

from treadle.agents.interpreter import Gate
from treadle.agents.ports import Outcome, Succeeded
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.journal import RunJournal
from treadle.platform.engine.turns import BATCH_PRIORITY, CHAT_PRIORITY
from treadle.platform.runs.launch import insert_runs
from treadle.platform.tables import limits, template_texts, workspaces

pytestmark = pytest.mark.slow


@dataclass
class Held:
    """Runs that work until they are let go, one by one; `order` is how they began."""

    order: list[RunId] = field(default_factory=list[RunId])
    at_work: set[RunId] = field(default_factory=set[RunId])
    most: int = 0
    doors: dict[RunId, asyncio.Event] = field(default_factory=dict[RunId, asyncio.Event])

    async def advance(self, run: ClaimedRun, journal: RunJournal, gate: Gate) -> Outcome:
        self.order.append(run.id)
        self.at_work.add(run.id)
        self.most = max(self.most, len(self.at_work))
        await self.doors.setdefault(run.id, asyncio.Event()).wait()
        self.at_work.discard(run.id)
        return Succeeded({})

    async def began(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.order) < count:  # noqa: ASYNC110 - begun by a loop of its own
                await asyncio.sleep(0.01)

    def let_go(self, run: RunId) -> None:
        self.doors.setdefault(run, asyncio.Event()).set()


async def another_workspace(engine: Engine) -> WorkspaceId:
    database = Database(engine.url, pool_size=1)
    workspace = WorkspaceId(new_id())
    async with database.tenant(workspace) as tx:
        await tx.execute(workspaces.insert().values(id=workspace, name=str(workspace)))
        await tx.execute(template_texts.insert().values(sha256=DIGEST, text=TEXT))
    await database.close()
    return workspace


async def queue(
    engine: Engine, count: int, *, workspace: WorkspaceId | None = None, priority: int = 0
) -> list[RunId]:
    database = Database(engine.url, pool_size=1)
    space = workspace or engine.workspace
    runs = [new_run(space, is_pure=False, inputs={}) for _ in range(count)]
    async with database.tenant(space) as tx:
        await insert_runs(tx, runs, priority=priority)
    await database.close()
    return sorted(run.id for run in runs)  # as the queue: made within a millisecond, in any order


async def limit(engine: Engine, runs: int, *, template: str = "") -> None:
    database = Database(engine.url, pool_size=1)
    async with database.tenant(engine.workspace) as tx:
        await tx.execute(limits.insert().values(template=template, runs=runs))
    await database.close()


async def test_a_small_workspace_does_not_wait_for_a_large_one(engine: Engine) -> None:
    many = await queue(engine, 40)
    few = await queue(engine, 4, workspace=await another_workspace(engine))
    held = Held()
    host = engine.host(held, concurrency=8)
    await host.start()
    await held.began(8)
    assert set(held.order) == {*many[:4], *few}
    for run in held.order[:8]:
        held.let_go(run)
    await held.began(16)
    assert set(held.order[8:16]) == set(many[4:12])
    for run in many + few:
        held.let_go(run)
    await held.began(44)


async def test_each_place_that_becomes_free_goes_to_who_has_fewest(engine: Engine) -> None:
    many = await queue(engine, 20)
    held = Held()
    host = engine.host(held, concurrency=4)
    await host.start()
    await held.began(4)
    few = await queue(engine, 2, workspace=await another_workspace(engine))
    for index, run in enumerate(many[:2]):
        held.let_go(run)
        await held.began(5 + index)
    assert held.order[4:6] == few


@pytest.mark.slow
async def test_the_urgent_come_first_and_batches_leave_places_free(engine: Engine) -> None:
    batch = await queue(engine, 20, priority=BATCH_PRIORITY)
    held = Held()
    host = engine.host(held, concurrency=16)
    await host.start()
    await held.began(12)
    await asyncio.sleep(0.5)
    assert held.order == batch[:12]
    plain = await queue(engine, 5)
    host.ring(plain)
    await held.began(15)
    await asyncio.sleep(0.5)
    assert held.order[12:] == plain[:3]
    (chat,) = await queue(engine, 1, priority=CHAT_PRIORITY)
    host.ring([chat])
    await held.began(16)
    assert held.order[-1] == chat
    for run in batch[:3]:
        held.let_go(run)
    await held.began(18)
    await asyncio.sleep(0.5)
    assert set(held.order[16:]) == set(plain[3:])


async def test_a_workspace_keeps_to_its_limit_over_all_workers(engine: Engine) -> None:
    await limit(engine, 3)
    runs = await queue(engine, 12)
    held = Held()
    for name in ("w1", "w2"):
        host = engine.host(held, name=name)
        await host.start()
        host.ring(runs)
    for done in range(12):
        await held.began(min(done + 3, 12))
        held.let_go(held.order[done])
    await engine.until(held.order[-1], "succeeded")
    assert held.most == 3
    assert sorted(held.order) == sorted(runs)


async def test_a_template_keeps_to_its_limit_and_holds_up_no_other(engine: Engine) -> None:
    await limit(engine, 1, template="noop")
    await limit(engine, 1, template="another")
    runs = await queue(engine, 3)
    held = Held()
    host = engine.host(held)
    await host.start()
    await held.began(1)
    await asyncio.sleep(0.3)
    assert held.order == runs[:1]
    held.let_go(runs[0])
    await held.began(2)
    assert held.order == runs[:2]


async def test_a_run_in_the_future_has_no_turn(engine: Engine) -> None:
    (run,) = await queue(engine, 1)
    await engine.sql("UPDATE runs SET wake_at = now() + interval '1 hour' WHERE id = %s", run)
    held = Held()
    host = engine.host(held)
    await host.start()
    host.ring([run])
    await asyncio.sleep(0.5)
    assert held.order == []
