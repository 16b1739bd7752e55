"""What a run in a test has around it: a ledger in memory, virtual time, nothing outside."""

import asyncio
import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NoReturn

import httpx

from treadle.agents.ports import FINISHED, StepRecord
from treadle.integrations.base import ArtifactRef, ArtifactStore, Connection, FileStore, ToolContext
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models import ChatRequest, Completion, ModelClient

BEGINNING = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # any Monday morning: tests must not drift
_TURNS = 20  # of the loop, in which whoever is not waiting for time gets on


class MemoryJournal:
    """A run's ledger, for as long as the test takes."""

    def __init__(self) -> None:
        self.entries: list[StepRecord] = []
        self._last: dict[tuple[str, str | None], StepRecord] = {}

    def finished(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """See `Journal`."""
        entry = self._last.get((path, call))
        return entry if entry is not None and entry.status in FINISHED else None

    def earlier(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """See `Journal`: no earlier owner left anything."""
        return None

    def append(self, *records: StepRecord) -> None:
        """See `Journal`."""
        self.entries.extend(records)
        self._last.update({(record.path, record.call): record for record in records})

    async def durable(self) -> None:
        """See `Journal`."""

    def delta(self, step: StepRecord, text: str) -> None:
        """See `Journal`: nobody watches."""

    def step(self, path: str) -> StepRecord | None:
        """The last entry of a step."""
        return self._last.get((path, None))


class VirtualClock:
    """Time that passes only when everybody waits for it; who waits least goes on first."""

    def __init__(self) -> None:
        self._now = BEGINNING
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._passing: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        """See `Clock`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        end = self._now + timedelta(seconds=seconds)
        heapq.heappush(self._sleepers, (end, next(self._numbers), woken))
        if self._passing is None or self._passing.done():
            self._passing = loop.create_task(self._pass())
        await woken

    async def _pass(self) -> None:
        while self._sleepers:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            end, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():  # else it was cancelled, and its time never comes
                self._now = max(self._now, end)
                woken.set_result(None)


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Files that tools leave, in memory."""

    stored: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def put(self, name: str, content: bytes, *, media_type: str) -> ArtifactRef:
        """See `ArtifactStore`."""
        digest = hashlib.sha256(content).hexdigest()
        id_ = f"test-{hashlib.sha256(name.encode()).hexdigest()[:8]}-{digest[:8]}"
        self.stored[id_] = content
        return ArtifactRef(id_, name, media_type, len(content), digest)


@dataclass(frozen=True, slots=True)
class IsolatedContext:
    """The context of a tool that runs for real: it has files, and nothing outside."""

    idempotency_key: str
    artifacts: ArtifactStore
    search_url: str | None = None
    mail_url: str | None = None
    connection: Connection | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        """See `ToolContext`."""
        _refuse("a network")

    @property
    def models(self) -> ModelClient:
        """See `ToolContext`."""
        return NoModels()

    @property
    def files(self) -> FileStore:
        """See `ToolContext`."""
        _refuse("uploaded files")


@dataclass(frozen=True, slots=True)
class IsolatedTools:
    """Opens isolated contexts."""

    artifacts: Artifacts

    def context(
        self, *, step_path: str, idempotency_key: str, connection: str | None
    ) -> ToolContext:
        """See `Tools`."""
        return IsolatedContext(idempotency_key, self.artifacts)

    def connection(self, name: str) -> Connection | None:
        """See `Tools`."""
        return None


class NoModels:
    """No endpoint at all."""

    @property
    def available(self) -> bool:
        """See `ModelClient`."""
        return False

    async def complete(
        self,
        request: ChatRequest,
        *,
        timeout_s: float,
        on_delta: Callable[[str], None] | None = None,
    ) -> Completion:
        """See `ModelClient`."""
        _refuse("a model")


def _refuse(what: str) -> NoReturn:
    raise ToolError(
        f"a test reaches nothing outside, and this tool wants {what}; mock its node",
        error_class=ErrorClass.DENIED,
        code="test_isolated",
    )
