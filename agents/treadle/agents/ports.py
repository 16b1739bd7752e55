"""What the interpreter needs from outside. The platform's engine is the real side of `Journal`.

A run's ledger is known by **paths**: `serp[17].hits` is node `hits` of item 17 of the map `serp`.
Before its work every step asks the journal for its path; what is finished is never done again.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from treadle.agents.values import JsonValue
from treadle.integrations.base import Connection, ToolContext
from treadle.integrations.errors import ErrorClass
from treadle.integrations.models import ModelClient


class StepStatus(StrEnum):
    """Fixed by the contract."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    RECOVERED = "recovered"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


FINISHED = frozenset(
    {StepStatus.SUCCEEDED, StepStatus.RECOVERED, StepStatus.FAILED, StepStatus.SKIPPED}
)


@dataclass(frozen=True, slots=True)
class StepError:
    """Why a step failed; `error_class` is written `class` in JSON."""

    node: str
    path: str
    error_class: ErrorClass
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a step used, summed over its attempts. Cost is `None` where the price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    model_calls: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One entry of the ledger: a step reached a status. One step may have several; the last counts.

    Attributes:
        path: With indexes: `serp[17].hits`.
        node: The path without indexes: `serp.hits`.
        item: 0-based map index; with nested maps the list of all, outermost first; else `None`.
        attempt: Counts from 1.
        call: For entries inside a step (a model call, a tool call of an agent): its number; the
            step's own entries have `None`.
    """

    path: str
    node: str
    item: int | tuple[int, ...] | None
    status: StepStatus
    attempt: int = 1
    output: JsonValue = None
    error: StepError | None = None
    usage: Usage | None = None
    reasoning: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    call: str | None = None
    extra: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


class Journal(Protocol):
    """The ledger of one run, as its owner sees it."""

    def finished(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """The finished entry at a path (its output loaded), or `None`. No I/O.

        The last entry at the path and call counts: one that is not finished takes an earlier
        finished one back. What was appended through this object need not be found again.
        """
        ...

    def earlier(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """The last entry that earlier owners left at a path, whatever its status. No I/O."""
        ...

    def append(self, *records: StepRecord) -> None:
        """Add entries, in order. They are committed soon, together with others; never reordered."""
        ...

    async def durable(self) -> None:
        """Return once everything appended so far is committed; raises `LeaseLost` if fenced.

        A step with an effect awaits this before its effect, so that nothing outside can depend on
        a result that a crash would undo. Pure nodes never wait. The caller may be cancelled while
        it waits; what it appended is committed all the same.
        """
        ...

    def delta(self, step: StepRecord, text: str) -> None:
        """Pass on a piece of a model's answer to whoever watches; not stored.

        `step` says where: any entry of the step that asked the model.
        """
        ...


class Tools(Protocol):
    """Opens a context for one tool call."""

    def context(
        self, *, step_path: str, idempotency_key: str, connection: str | None
    ) -> ToolContext:
        """The context of one call; `connection` is the template's logical name."""
        ...

    def connection(self, name: str) -> Connection | None:
        """What a logical connection name is bound to, `None` if it is unbound."""
        ...


class Clock(Protocol):
    """Time: real in the service, virtual in template tests."""

    def now(self) -> datetime:
        """The present, with time zone UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait (retry backoff)."""
        ...


class WaitKind(StrEnum):
    """What a run can wait for; fixed by the contract."""

    APPROVAL = "approval"
    TIMER = "timer"
    CALLBACK = "callback"
    CHILD = "child"
    PAUSED = "paused"
    BUDGET = "budget"
    UNKNOWN = "unknown"
    RECONNECT = "reconnect"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True)
class Wait:
    """Something a step of a run waits for.

    Attributes:
        id: Stays the same over restarts; of a child run it is the run's id too.
        until: When it ends without an answer, if ever.
    """

    kind: WaitKind
    id: str
    node: str
    path: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What ended a wait.

    Attributes:
        by: Who gave it, `None` where it was nobody.
        in_time: Whether it came before `until`; nobody answered if not.
    """

    value: JsonValue
    at: datetime
    by: str | None = None
    in_time: bool = True


class Waits(Protocol):
    """Where answers come from. Each wait ends once: what came first counts."""

    async def answer(self, wait: Wait) -> Answer:
        """Return when it is answered, which may have been long ago. May be cancelled."""
        ...

    async def expire(self, wait: Wait) -> Answer:
        """End a wait whose time is over; if an answer came before after all, return that."""
        ...

    def page(self, wait: Wait) -> str:
        """URL under which a person answers an approval."""
        ...


@dataclass(frozen=True, slots=True)
class ChildOrder:
    """A run of another template, as a step of this one.

    Attributes:
        id: Of the run to be; the wait for it has the same.
        use: As the template writes it: `template:outline@^1`.
        connections: The child's logical names to ours.
        frame: Path of the step that asks, from the root run.
    """

    id: str
    use: str
    inputs: dict[str, JsonValue]
    connections: dict[str, str]
    frame: str


class Children(Protocol):
    """Runs that are steps of this one."""

    async def check(self, order: ChildOrder) -> None:
        """Raise `InputsInvalid` if the child would refuse its inputs."""
        ...

    async def start(self, order: ChildOrder) -> None:
        """Start it; one that was started before stays as it is."""
        ...


class Cache(Protocol):
    """Results of steps that the runs of one workspace keep for each other.

    A cache may forget at any time, and losing it changes nothing but cost.
    """

    async def get(self, key: str) -> JsonValue:
        """What is kept under a key, null where nothing is or its time is over."""
        ...

    async def put(self, key: str, value: JsonValue, *, lasts: timedelta) -> None:
        """Keep a value in place of an earlier one."""
        ...


class Nobody:
    """Answers nothing and starts nothing: for runs that stand alone."""

    async def answer(self, wait: Wait) -> Answer:
        """See `Waits`."""
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def expire(self, wait: Wait) -> Answer:
        """See `Waits`."""
        return Answer(None, wait.until or datetime.now(UTC), in_time=False)

    def page(self, wait: Wait) -> str:
        """See `Waits`."""
        return f"/a/{wait.id}"

    async def check(self, order: ChildOrder) -> None:
        """See `Children`."""

    async def start(self, order: ChildOrder) -> None:
        """See `Children`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything one run reaches outside through.

    Attributes:
        processes: Where CPU-heavy tools run; without it they go to a thread.
        cache: Without one nothing is cached.
    """

    journal: Journal
    tools: Tools
    models: ModelClient
    clock: Clock
    processes: Executor | None = None
    waits: Waits = field(default_factory=Nobody)
    children: Children = field(default_factory=Nobody)
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What expressions see as `run`, and what keys are derived from.

    Attributes:
        frame: Path of the step that started this run, from the root run; empty for a root.
        model: The agent's choice in place of the template's `defaults.model`.
    """

    id: str
    root_id: str
    workspace: str
    name: str
    version: str
    owner: str
    trigger: str
    started_at: datetime
    url: str
    frame: str = ""
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The run ended well."""

    outputs: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended with an error."""

    error: StepError


@dataclass(frozen=True, slots=True)
class Parked:
    """Nothing works any more and something is waited for; or the gate was closed.

    Attributes:
        reason: `waiting`, or why the gate is closed: `drain`, `pause`, `budget`, `cancel`.
    """

    waits: Sequence[Wait]
    reason: str


Outcome = Succeeded | Failed | Parked
