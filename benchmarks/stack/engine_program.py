"""Measures the engine alone, in one process: DATABASE_URL REDIS_URL MODEL_URL SECONDS.

Runs are accepted, claimed, carried out and committed by the parts that the service is made of, on
the same database and Valkey, with fences, fsync and row-level security on. Left out are HTTP with
its keys, and Celery: who accepts a run tells the host of it directly. So it stands beside engines
that are called in process. One line of JSON per measurement.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import uvloop
from pydantic import SecretStr

from stack import database as counts
from stack.figures import Figures
from stack.workloads import WORKLOADS, Workload
from treadle.agents.language import parse_template
from treadle.integrations.egress import Policy, build_client
from treadle.integrations.models.client import OpenAIModelClient
from treadle.integrations.models.endpoints import load_endpoints
from treadle.integrations.registry import all_tools
from treadle.platform.connections.vault import Vault
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.db.migrate import migrate
from treadle.platform.engine.acceptance import Acceptance, NewRun
from treadle.platform.engine.broadcast import Listener
from treadle.platform.engine.clock import SystemClock
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.execution import GraphRunner
from treadle.platform.engine.host import HostOptions, RunHost
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.programs import Programs
from treadle.platform.engine.texts import StoredTexts
from treadle.platform.engine.tooling import PlatformToolbox
from treadle.platform.installation import installation_secret
from treadle.platform.runs.feeds import Feeds
from treadle.platform.settings import Settings
from treadle.platform.tables import template_texts, workspaces

MEASURED = ("noop", "pure-10", "effects-10", "llm-3")
CONNECTIONS = (1, 32)
WARM_UP_S = 2.0


class Direct:
    """A bell without a broker: what the host rings for, it hears."""

    def __init__(self) -> None:
        self.host: RunHost | None = None

    def ring(self, runs: Sequence[RunId]) -> None:
        """Tell the host of this process."""
        if self.host is not None:
            self.host.ring(runs)


class Engine:
    """Acceptance, a host, and followers that wait for the end of runs."""

    def __init__(self, acceptance: Acceptance, feeds: Feeds, workspace: WorkspaceId) -> None:
        self._acceptance = acceptance
        self._feeds = feeds
        self._workspace = workspace

    async def run(self, workload: Workload, *, is_pure: bool) -> None:
        """Accept one run and return when it has succeeded."""
        new = _new_run(self._workspace, workload, is_pure=is_pure)
        with self._feeds.watch(new.id, is_patient=True) as watch:
            await self._acceptance.accept(new)
            after = 1
            while True:
                rows = await self._feeds.next(watch, new.id, self._workspace, after=after)
                if rows and rows[-1].is_end:
                    if rows[-1].type != "run.succeeded":
                        raise RuntimeError(f"{workload.name}: {rows[-1].entry}")
                    return
                after = rows[-1].seq if rows else after


def _new_run(workspace: WorkspaceId, workload: Workload, *, is_pure: bool) -> NewRun:
    run = RunId(new_id())
    return NewRun(
        id=run,
        workspace=workspace,
        root_id=run,
        agent_id=None,
        agent=None,
        template=workload.name,
        version="1.0.0",
        sha256=_digest(workload),
        trigger="api",
        owner="",
        settings={},
        connections={},
        is_pure=is_pure,
        wake_at=None,
        inputs={"run": "bench", "n": 0},
        created_by=None,
    )


def _digest(workload: Workload) -> bytes:
    return sha256(workload.template.encode()).digest()


@asynccontextmanager
async def engine(
    database_url: str, redis_url: str, model_url: str, home: Path
) -> AsyncIterator[Engine]:
    """Build it as API and worker do, on a database of its own."""
    await asyncio.to_thread(migrate, database_url)
    database = Database(database_url)
    workspace = WorkspaceId(new_id())
    async with database.tenant(workspace) as tx:
        await tx.execute(workspaces.insert().values(id=workspace, name="bench"))
        for one in WORKLOADS:
            values = {"sha256": _digest(one), "text": one.template}
            await tx.execute(template_texts.insert().values(values))
    settings = Settings(home=home, secret_key=SecretStr("only for a measurement"))
    guard = build_client(Policy.parse(""))
    models = OpenAIModelClient(
        load_endpoints(home / "models.yaml", url=f"{model_url}/v1", key=None, name=None)
    )
    texts = StoredTexts(EngineConnection(database_url))
    runner = GraphRunner(
        texts=texts,
        toolbox=PlatformToolbox(
            database=database,
            vault=Vault(installation_secret(settings)),
            guard=guard,
            models=models,
            search_url=None,
        ),
        models=models,
        clock=SystemClock(),
        processes=None,
        public_url="http://127.0.0.1",
    )
    bell = Direct()
    options = HostOptions(name="alone", database_url=database_url, redis_url=redis_url)
    host = bell.host = RunHost(options, runner=runner, bell=bell, on_replaced=lambda: None)
    acceptance = Acceptance(EngineConnection(database_url), on_accepted=host.ring)
    listener = Listener(redis_url)
    feeds = Feeds(database, EngineConnection(database_url), listener, on_heard=lambda _: None)
    await host.start()
    acceptance.start()
    feeds.start()
    listener.start()
    try:
        yield Engine(acceptance, feeds, workspace)
    finally:
        await acceptance.stop()
        await host.drain()
        await host.stop()
        await feeds.stop()
        await listener.stop()
        await texts.close()
        await guard.aclose()
        await models.aclose()
        await database.close()


async def measure(
    engine: Engine, workload: Workload, connections: int, seconds: float, database_url: str
) -> Figures:
    """So many callers, each with one run at a time."""
    parsed = parse_template(workload.template, tools=all_tools()).template
    is_pure = Programs().compile(_digest(workload), parsed).graph.is_pure
    times: list[float] = []

    async def call(until: float) -> None:
        while (began := time.perf_counter()) < until:
            await engine.run(workload, is_pure=is_pure)
            times.append(time.perf_counter() - began)

    async def for_(seconds: float) -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(call(until) for _ in range(connections)))

    await for_(WARM_UP_S)
    times.clear()
    before = await asyncio.to_thread(counts.count, database_url)
    cpu, began = time.process_time(), time.perf_counter()
    await for_(seconds)
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    did = (await asyncio.to_thread(counts.count, database_url)).since(before)
    times.sort()
    count = len(times)
    return Figures(
        stack="treadle alone",
        workload=workload.name,
        connections=connections,
        runs_per_s=count / wall,
        p50_ms=times[count // 2] * 1000,
        p95_ms=times[int(count * 0.95)] * 1000,
        p99_ms=times[int(count * 0.99)] * 1000,
        cpu_ms=used * 1000 / count,
        commits=did.commits / count,
        transactions=did.transactions / count,
        bytes=did.size / count,
    )


async def main() -> None:
    """Measure what LangGraph is measured at, and ten effects."""
    database_url, redis_url, model_url, seconds, home = sys.argv[1:]
    async with engine(database_url, redis_url, model_url, Path(home)) as one:
        for workload in WORKLOADS:
            for connections in CONNECTIONS if workload.name in MEASURED else ():
                found = await measure(one, workload, connections, float(seconds), database_url)
                print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    gc.freeze()  # as a worker does, once it has started
    gc.set_threshold(10_000, 20, 100)
    uvloop.run(main())
