"""Real runs in a real database, and hosts that advance them, without Celery."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

import pytest
from psycopg.rows import tuple_row

from treadle.agents.interpreter import Gate
from treadle.agents.ports import Outcome, StepRecord, StepStatus, Succeeded
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.engine.acceptance import Acceptance, NewRun
from treadle.platform.engine.claims import ClaimedRun, Claims
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.host import HostOptions, RunHost, Runner
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.journal import RunJournal
from treadle.platform.engine.writer import Committed, LogWriter
from treadle.platform.tables import template_texts, workspaces

TEXT = "treadle: 1\nname: noop\nversion: 1.0.0\nnodes:\n  a: {use: set, with: {x: 1}}\n"
DIGEST = hashlib.sha256(TEXT.encode()).digest()


def step(
    path: str, output: "JsonValue" = None, *, status: StepStatus = StepStatus.SUCCEEDED
) -> StepRecord:
    return StepRecord(path=path, node=path, item=None, status=status, output=output)


@pytest.fixture
async def workspace(fresh_database_url: str) -> WorkspaceId:
    """A workspace that has stored the template of all these runs."""
    database = Database(fresh_database_url, pool_size=1)
    workspace = WorkspaceId(new_id())
    async with database.tenant(workspace) as tx:
        await tx.execute(workspaces.insert().values(id=workspace, name=str(workspace)))
        await tx.execute(template_texts.insert().values(sha256=DIGEST, text=TEXT))
    await database.close()
    return workspace


class Engine:
    """The parts of the engine on one database, each made when asked for."""

    def __init__(self, url: str, redis_url: str, workspace: WorkspaceId) -> None:
        self.url = url
        self.redis_url = redis_url
        self.workspace = workspace
        self.bell = SilentBell()
        self._sql = EngineConnection(url)
        self._stops: list[Callable[[], Awaitable[None]]] = [self._sql.close]

    async def accept(self, *, is_pure: bool = False, inputs: "JsonObject | None" = None) -> RunId:
        acceptance = Acceptance(EngineConnection(self.url), on_accepted=lambda _: None)
        acceptance.start()
        run = new_run(self.workspace, is_pure=is_pure, inputs=inputs or {})
        await acceptance.accept(run)
        await acceptance.stop()
        return run.id

    def writer(self, connection: EngineConnection | None = None) -> "Written":
        heard: list[Committed] = []
        writer = LogWriter(connection or EngineConnection(self.url), on_committed=heard.extend)
        writer.start()
        self._stops.append(writer.stop)
        return Written(writer, heard)

    async def claim(self, *runs: RunId, worker: str = "w1") -> list[ClaimedRun]:
        connection = EngineConnection(self.url)
        claimed = await Claims(connection, worker=worker).take(runs)
        await connection.close()
        return claimed

    def host(self, runner: Runner, *, name: str = "w1", **options: float) -> RunHost:
        host = RunHost(
            HostOptions(
                name=name,
                database_url=self.url,
                redis_url=self.redis_url,
                concurrency=int(options.get("concurrency", 64)),
                beat_s=options.get("beat_s", 0.1),
                dead_after_s=options.get("dead_after_s", 0.5),
                sweep_s=options.get("sweep_s", 0.1),
                ring_again_s=options.get("ring_again_s", 0.3),
            ),
            runner=runner,
            bell=self.bell,
            on_replaced=lambda: None,
        )
        self._stops.append(host.stop)
        return host

    async def row(
        self, run: RunId, columns: LiteralString = "status, epoch, seq, crashes"
    ) -> tuple[object, ...]:
        rows = await self.sql(f"SELECT {columns} FROM runs WHERE id = %s", run)  # noqa: S608 - literals of tests
        return rows[0]

    async def log(self, run: RunId) -> list[tuple[object, ...]]:
        return await self.sql(
            "SELECT seq, entry->>'t', entry->>'path' FROM log WHERE run_id = %s ORDER BY seq", run
        )

    async def sql(self, statement: LiteralString, *parameters: object) -> list[tuple[object, ...]]:
        return await self._sql.fetch(statement, parameters, row=tuple_row)

    async def until(self, run: RunId, status: str, *, timeout_s: float = 60) -> tuple[object, ...]:
        async with asyncio.timeout(timeout_s):
            while (row := await self.row(run))[0] != status:  # noqa: ASYNC110 - it is in SQL
                await asyncio.sleep(0.02)
        return row

    async def stop(self) -> None:
        for stop in reversed(self._stops):
            await stop()


def new_run(workspace: WorkspaceId, *, is_pure: bool, inputs: JsonObject) -> NewRun:
    run = RunId(new_id())
    return NewRun(
        id=run,
        workspace=workspace,
        root_id=run,
        agent_id=None,
        agent=None,
        template="noop",
        version="1.0.0",
        sha256=DIGEST,
        trigger="api",
        owner="",
        settings={},
        connections={},
        is_pure=is_pure,
        wake_at=None,
        inputs=inputs,
        created_by=None,
    )


@dataclass
class Written:
    """A writer, and what it told of its commits."""

    writer: LogWriter
    committed: list[Committed]


@dataclass
class SilentBell:
    """A bell nobody hears: what it was rung for can be looked at."""

    rung: list[RunId] = field(default_factory=list[RunId])

    def ring(self, runs: Sequence[RunId]) -> None:
        self.rung.extend(runs)


@dataclass
class Script:
    """A runner that does what a test says; `began` counts the work of each step by path."""

    steps: Sequence[str] = ("a", "b")
    holds: asyncio.Event | None = None
    began: dict[str, int] = field(default_factory=dict[str, int])

    async def advance(self, run: ClaimedRun, journal: RunJournal, gate: Gate) -> Outcome:
        for path in self.steps:
            if journal.finished(path) is not None:
                continue
            gate.check()
            await journal.durable()
            self.began[path] = self.began.get(path, 0) + 1
            if self.holds is not None and path == self.steps[-1]:
                await self.holds.wait()
            journal.append(step(path, {"n": 1}))
        return Succeeded({"done": list(self.steps)})


@pytest.fixture
async def engine(
    fresh_database_url: str, redis_url: str, workspace: WorkspaceId
) -> AsyncIterator[Engine]:
    engine = Engine(fresh_database_url, redis_url, workspace)
    yield engine
    await engine.stop()
