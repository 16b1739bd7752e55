"""In-memory doubles of the interpreter's ports, and tools whose effects are counted outside."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import httpx

from treadle.agents.ports import FINISHED, StepRecord
from treadle.integrations.base import (
    ArtifactStore,
    Connection,
    Effect,
    FileStore,
    Params,
    Result,
    ToolContext,
    tool,
)
from treadle.integrations.errors import Delivery, ErrorClass, ToolError
from treadle.integrations.models import ChatRequest, Completion, ModelClient, Tokens, ToolCall
from treadle.integrations.registry import AnyTool


class Crashed(Exception):
    """The process died here."""


class MemoryJournal:
    """A ledger in a list: what is `committed` survives a crash, what is pending does not.

    Args:
        committed: What earlier processes left.
        crash_at: The append or commit (counted from 1) at which the process dies.
    """

    def __init__(
        self, committed: Sequence[StepRecord] = (), *, crash_at: int | None = None
    ) -> None:
        self.committed = list(committed)
        self.pending: list[StepRecord] = []
        self.deltas: list[tuple[StepRecord, str]] = []
        self.moments = 0
        self.waits = 0
        self._crash_at = crash_at
        self._news = asyncio.Event()
        self._last = {(entry.path, entry.call): entry for entry in committed}

    def finished(self, path: str, *, call: str | None = None) -> StepRecord | None:
        entry = self._last.get((path, call))
        return entry if entry is not None and entry.status in FINISHED else None

    def earlier(self, path: str, *, call: str | None = None) -> StepRecord | None:
        return self._last.get((path, call))

    def append(self, *records: StepRecord) -> None:
        self._pass_moment()
        self.pending.extend(records)
        self._news.set()

    async def durable(self) -> None:
        self.waits += 1
        await asyncio.sleep(0)
        self._pass_moment()
        self.commit()

    def delta(self, step: StepRecord, text: str) -> None:
        self.deltas.append((step, text))

    async def reached(self, path: str, status: str) -> None:
        """Return once a step has this status."""
        async with asyncio.timeout(60):
            while self.statuses().get(path) != status:
                self._news.clear()
                await self._news.wait()

    def commit(self) -> None:
        """What the engine does with the outcome, and with everything before an effect."""
        self.committed += self.pending
        self.pending.clear()

    @property
    def entries(self) -> list[StepRecord]:
        return [*self.committed, *self.pending]

    def last(self, path: str) -> StepRecord:
        """The entry that counts for a step."""
        return next(e for e in reversed(self.entries) if e.path == path and e.call is None)

    def statuses(self) -> dict[str, str]:
        """Path to the last status of every step that has one."""
        return {e.path: e.status.value for e in self.entries if e.call is None}

    def _pass_moment(self) -> None:
        self.moments += 1
        if self._crash_at is not None and self.moments >= self._crash_at:
            raise Crashed(f"at moment {self.moments}")


class VirtualClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 25, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Wants:
    """An answer that asks for tool calls: names and arguments as the model writes them."""

    calls: tuple[tuple[str, str], ...]
    text: str = ""


def wants(*calls: tuple[str, str]) -> Wants:
    """An answer that asks for these calls."""
    return Wants(calls)


class ScriptedModels:
    """Answers from a list, in order; keeps what was asked."""

    def __init__(self, *answers: str | ToolError | Wants, finish_reason: str = "stop") -> None:
        self._answers = list(answers)
        self._finish_reason = finish_reason
        self.requests: list[ChatRequest] = []

    @property
    def available(self) -> bool:
        return True

    async def complete(
        self,
        request: ChatRequest,
        *,
        timeout_s: float,
        on_delta: Callable[[str], None] | None = None,
    ) -> Completion:
        self.requests.append(request)
        await asyncio.sleep(0)
        answer = self._answers.pop(0)
        if isinstance(answer, ToolError):
            raise answer
        text = answer.text if isinstance(answer, Wants) else answer
        calls = answer.calls if isinstance(answer, Wants) else ()
        if on_delta is not None:
            on_delta(text)
        tokens = Tokens(input_tokens=10, output_tokens=5, cached_tokens=2, cost_usd=0.5)
        return Completion(
            text=text,
            reasoning=f"thought {len(self.requests)}",
            finish_reason=self._finish_reason,
            tokens=tokens,
            model="tiny",
            endpoint="test",
            tool_calls=[
                ToolCall(f"call_{len(self.requests)}_{index}", name, arguments)
                for index, (name, arguments) in enumerate(calls)
            ],
        )


@dataclass(frozen=True)
class PlainContext:
    """A context for tools that need nothing but their key."""

    idempotency_key: str
    models: ModelClient
    step_path: str
    connection: Connection | None = None
    search_url: str | None = None
    mail_url: str | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        self._refuse()

    @property
    def artifacts(self) -> ArtifactStore:
        self._refuse()

    @property
    def files(self) -> FileStore:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise AssertionError("the tools of these tests reach nothing")


class PlainTools:
    """Opens plain contexts."""

    def __init__(self, models: ModelClient) -> None:
        self._models = models

    def context(
        self, *, step_path: str, idempotency_key: str, connection: str | None
    ) -> ToolContext:
        return PlainContext(idempotency_key, self._models, step_path)

    def connection(self, name: str) -> Connection | None:
        return None


class WorkParams(Params):
    """`name` is what the outside world sees of the call."""

    name: str
    size: int = 0
    once: bool = False


class WorkResult(Result):
    name: str
    calls: int


@dataclass
class World:
    """What lies outside: counts calls by name, keeps keys, holds or breaks calls as told.

    Attributes:
        events: `+name` when a call arrives, `-name` when it is answered.
        keys: Every key with which a name was called, in order.
        held: Names that are answered only after `release`.
        breaks: Errors by name, one per call until they are used up.
    """

    events: list[str] = field(default_factory=list[str])
    keys: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    held: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    breaks: dict[str, list[Exception]] = field(default_factory=dict[str, list[Exception]])
    arrived: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    working: int = 0
    most_at_once: int = 0

    def hold(self, *names: str) -> None:
        for name in names:
            self.held[name] = asyncio.Event()

    def release(self, *names: str) -> None:
        for name in names:
            self.held[name].set()

    async def arrival(self, name: str) -> None:
        """Return once a call of this name has arrived."""
        async with asyncio.timeout(60):
            await self.arrived.setdefault(name, asyncio.Event()).wait()

    def effects(self, name: str) -> int:
        """Effects at a receiver that deduplicates by key."""
        return len(set(self.keys.get(name, [])))

    def tools(self) -> dict[str, AnyTool]:
        """`probe.read`, `probe.send` (keyed), `probe.pay` (once) and `probe.blocking`."""

        async def work(ctx: ToolContext, params: WorkParams) -> WorkResult:
            """Do something outside."""
            return await self._work(ctx.idempotency_key, params)

        def block(ctx: ToolContext, params: WorkParams) -> WorkResult:
            """Do something in a thread."""
            self._note(ctx.idempotency_key, params.name)
            return WorkResult(name=params.name, calls=len(self.keys[params.name]))

        declared: list[AnyTool] = [
            tool("probe.read", effect=Effect.READ)(work),
            tool("probe.send", effect=Effect.KEYED)(work),
            tool("probe.pay", effect=Effect.ONCE)(work),
            tool("probe.blocking", effect=Effect.READ)(block),
        ]
        return {one.name: one for one in declared}

    async def _work(self, key: str, params: WorkParams) -> WorkResult:
        name = params.name
        self._note(key, name)
        self.working += 1
        self.most_at_once = max(self.most_at_once, self.working)
        try:
            await asyncio.sleep(0)
            if name in self.held:
                await self.held[name].wait()
            if self.breaks.get(name):
                raise self.breaks[name].pop(0)
        finally:
            self.working -= 1
        self.events.append(f"-{name}")
        return WorkResult(name=name, calls=len(self.keys[name]))

    def _note(self, key: str, name: str) -> None:
        self.events.append(f"+{name}")
        self.keys.setdefault(name, []).append(key)
        self.arrived.setdefault(name, asyncio.Event()).set()


def upstream_error(
    *, delivery: Delivery = Delivery.REFUSED, retry_after_s: float | None = None
) -> ToolError:
    """The receiver answered 503, or worse."""
    return ToolError(
        "the receiver is down",
        error_class=ErrorClass.UPSTREAM,
        code="http_503",
        delivery=delivery,
        retry_after_s=retry_after_s,
    )
