"""How the parts of a worker and of a scheduler meet."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from treadle.integrations.egress import Policy, build_client
from treadle.integrations.egress.urls import DEFAULT_PORTS
from treadle.integrations.models.client import OpenAIModelClient
from treadle.integrations.models.endpoints import EndpointTable, load_endpoints
from treadle.integrations.registry import all_tools
from treadle.platform.approvals.tokens import WaitTokens
from treadle.platform.cache.service import WorkspaceCache
from treadle.platform.connections.vault import Vault
from treadle.platform.db.database import Database
from treadle.platform.engine.broadcast import Speaker
from treadle.platform.engine.clock import SystemClock
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.errors import DatabaseAway
from treadle.platform.engine.execution import GraphRunner
from treadle.platform.engine.host import SWEEP_S, HostOptions, RunHost
from treadle.platform.engine.hours import Hours
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.sweep import RING_AGAIN_S, Sweeper
from treadle.platform.engine.texts import StoredTexts
from treadle.platform.engine.tooling import PlatformToolbox
from treadle.platform.engine.waiting import WaitingRoom
from treadle.platform.housekeeping.keeper import Housekeeper, Terms
from treadle.platform.installation import installation_secret
from treadle.platform.jobs import Bell
from treadle.platform.log import get_log
from treadle.platform.loops import keep_going
from treadle.platform.metrics.instruments import SWEPT
from treadle.platform.metrics.publisher import Publisher
from treadle.platform.runs.launch import Launcher
from treadle.platform.schedules.clock import Clock, tell_cancelled
from treadle.platform.settings import Settings
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.tracing.exporter import exporter_of
from treadle.platform.webhooks.courier import Courier
from treadle.workers.heavy import HeavyProcesses

DEFAULT_CONCURRENCY = 64
SCHEDULER_SWEEP_S = 1.0

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the process finds what it works with."""

    database: str
    redis: str


def urls_of(settings: Settings) -> Urls:
    """Read them; raises `ValueError` where one is missing."""
    if settings.database_url is None or settings.redis_url is None:
        raise ValueError(
            "TREADLE_DATABASE_URL and TREADLE_REDIS_URL are needed; `treadle up` brings both"
        )
    return Urls(settings.database_url, settings.redis_url)


class WorkerService:
    """A worker: hosts runs with real tools."""

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        concurrency: int,
        sweep_s: float = SWEEP_S,
        ring_again_s: float = RING_AGAIN_S,
    ) -> None:
        urls, secret = urls_of(settings), installation_secret(settings)
        public_url = _public_url(settings)
        self._waiting = EngineConnection(urls.database)
        endpoints = _endpoints(settings)
        self._models = models = OpenAIModelClient(endpoints)
        self._database = Database(urls.database)
        self._guard = build_client(_policy(settings))
        # A connection is 3 MB of the database's memory, and neither of these asks often.
        seldom = EngineConnection(urls.database)
        self._texts = StoredTexts(seldom)
        self._publisher = Publisher(seldom, f"worker:{name}")
        self._processes = HeavyProcesses()
        self._bell = Bell(urls.redis)
        toolbox = PlatformToolbox(
            database=self._database,
            vault=Vault(secret),
            guard=self._guard,
            models=models,
            search_url=settings.search_url,
            mail_url=settings.smtp_url,
        )
        runner = GraphRunner(
            texts=self._texts,
            toolbox=toolbox,
            models=models,
            clock=SystemClock(),
            processes=self._processes,
            public_url=public_url,
            room=WaitingRoom(
                connection=self._waiting,
                tokens=WaitTokens(secret),
                clock=SystemClock(),
                public_url=public_url,
            ),
            caches=partial(WorkspaceCache, self._database),
            prices=endpoints.dearest,
            hours=Hours(self._waiting),
        )
        self._exporter = exporter_of(settings.otlp_endpoint, service="treadle-worker")
        self._host = RunHost(
            HostOptions(
                name=name,
                database_url=urls.database,
                redis_url=urls.redis,
                concurrency=concurrency,
                sweep_s=sweep_s,
                ring_again_s=ring_again_s,
            ),
            runner=runner,
            bell=self._bell,
            on_replaced=end_this_process,
            on_workers=models.share_among,
            exporter=self._exporter,
        )
        self._bell.start()

    async def start(self) -> None:
        """See `Service`."""
        all_tools()  # now, and not in the middle of the first run: it imports for half a second
        await self._host.start()
        self._publisher.start()
        if self._exporter is not None:
            self._exporter.start()

    def ring(self, runs: Sequence[RunId]) -> None:
        """See `Service`."""
        self._host.ring(runs)

    async def stop(self) -> None:
        """See `Service`."""
        await self._host.drain()
        await self._host.stop()
        await self._publisher.stop()
        if self._exporter is not None:
            await self._exporter.stop()
        await self._bell.stop()
        await self._texts.close()
        await self._waiting.close()
        await self._guard.aclose()
        await self._models.aclose()
        await self._database.close()
        self._processes.shutdown(wait=False, cancel_futures=True)


class SchedulerService:
    """A scheduler: sweeps more often than workers do, and rings for what it finds."""

    def __init__(self, settings: Settings) -> None:
        urls, secret = urls_of(settings), installation_secret(settings)
        self._connection = EngineConnection(urls.database)
        self._sweeper = Sweeper(self._connection)
        self._bell = Bell(urls.redis)
        process = f"scheduler:{socket.gethostname()}:{os.getpid()}"
        self._database = Database(urls.database, pool_size=3)
        seldom = EngineConnection(urls.database)
        self._publisher = Publisher(seldom, process)
        terms = Terms.of_days(steps=settings.keep_steps_days, runs=settings.keep_runs_days)
        self._housekeeper = Housekeeper(self._database, seldom, terms)
        self._speaker = Speaker(urls.redis)
        self._clock = Clock(
            self._database,
            Launcher(TemplateLibrary()),
            on_started=self._bell.ring,
            on_cancelled=lambda runs: tell_cancelled(self._speaker, runs),
        )
        self._guard = build_client(_policy(settings))
        page_url = partial(WaitTokens(secret).page_url, public_url=_public_url(settings))
        self._courier = Courier(self._database, Vault(secret), self._guard, page_url=page_url)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `Service`."""
        await self._sweep()
        self._bell.start()
        self._housekeeper.start()
        self._publisher.start()
        self._speaker.start()
        self._clock.start()
        self._courier.start()
        self._task = keep_going(self._work, name="sweeps")
        log.info("scheduler.started", process=os.getpid())

    def ring(self, runs: Sequence[RunId]) -> None:
        """A scheduler advances nothing."""

    async def stop(self) -> None:
        """See `Service`."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._clock.stop()
        await self._courier.stop()
        await self._guard.aclose()
        await self._housekeeper.stop()
        await self._publisher.stop()
        await self._bell.stop()
        await self._speaker.stop()
        await self._connection.close()
        await self._database.close()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(SCHEDULER_SWEEP_S)
            with suppress(DatabaseAway):
                await self._sweep()

    async def _sweep(self) -> None:
        found = await self._sweeper.sweep()
        if found:
            SWEPT.inc(len(found))
            self._bell.ring(found)


def end_this_process() -> None:
    """Stop as on SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def _endpoints(settings: Settings) -> EndpointTable:
    return load_endpoints(
        settings.home / "models.yaml",
        url=settings.model_url,
        key=settings.model_api_key,
        name=settings.model_name,
    )


def _public_url(settings: Settings) -> str:
    return settings.public_url or f"http://{settings.host}:{settings.port}"


def _policy(settings: Settings) -> Policy:
    """What tools may reach: the installation's own search engine is meant, wherever it is."""
    policy = Policy.parse(settings.egress_allow)
    if settings.search_url is None:
        return policy
    url = urlsplit(settings.search_url)
    return policy.with_origin(url.hostname or "", url.port or DEFAULT_PORTS[url.scheme])
