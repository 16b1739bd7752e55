"""The gate every step passes before its work: closing it stops what has not begun.

Gates nest like frames: a map's item has its own, so that its failure stops only that item. Work
that has begun goes on when a gate closes, unless it is told to stop (cancel, a lost lease).
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType

from treadle.agents.errors import Blocked


class Closed(StrEnum):
    """Why a gate is closed."""

    DRAIN = "drain"
    PAUSE = "pause"
    BUDGET = "budget"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    CANCEL = "cancel"


STOPS_RUNNING = frozenset({Closed.CANCEL, Closed.TIMEOUT})


class Gate:
    """Open until it, or one above it, is closed; never opens again.

    It also knows what goes on behind it: how many tasks work, and how many only wait.

    Attributes:
        on_quiet: Called when something waits here and nothing works any more. Whoever has just
            waited may be about to work, so the one called looks again a moment later.
        begun: How often anything began behind it: whether something happened since one looked.
    """

    __slots__ = ("_parent", "_reason", "_stays", "_waiting", "begun", "on_quiet")

    def __init__(self, parent: "Gate | None" = None) -> None:
        self._parent = parent
        self._reason: Closed | None = None
        self._stays: set[Stay] = set()
        self._waiting = 0
        self.on_quiet: Callable[[], None] | None = None
        self.begun = 0

    @property
    def reason(self) -> Closed | None:
        """Why it is closed, `None` while it is open. A gate above counts first."""
        above = None if self._parent is None else self._parent.reason
        return above or self._reason

    @property
    def own_reason(self) -> Closed | None:
        """Why it was closed itself, whatever is above."""
        return self._reason

    def close(self, reason: Closed) -> None:
        """Close it; the first reason stays, but `cancel` and `timeout` also stop what runs."""
        stops_running = reason in STOPS_RUNNING
        if self._reason is None or stops_running:
            self._reason = reason
        for stay in tuple(self._stays):
            if stops_running or stay.is_rest:
                stay.stop()

    def check(self) -> None:
        """Raise `Blocked` if it is closed."""
        reason = self.reason
        if reason is not None:
            raise Blocked(reason)

    def working(self) -> "Stay":
        """A `with` block that only `cancel` and `timeout` interrupt, raising `Blocked`."""
        return Stay(self, is_rest=False)

    def resting(self) -> "Stay":
        """A `with` block that any closing interrupts (a pause before the next attempt)."""
        return Stay(self, is_rest=True)

    def waiting(self) -> "Stay":
        """The same for somebody else's answer: who is in it does not work."""
        return Stay(self, is_rest=True, is_wait=True)

    @property
    def is_quiet(self) -> bool:
        """Whether something waits behind it and nothing works."""
        return 0 < self._waiting == len(self._stays)

    def enter(self, stay: "Stay") -> None:
        """Let a stay be stopped by this gate and all above it."""
        self._stays.add(stay)
        self.begun += 1
        if stay.is_wait:
            self._waiting += 1
            self._tell_if_quiet()
        if self._parent is not None:
            self._parent.enter(stay)

    def leave(self, stay: "Stay") -> None:
        """Undo `enter`."""
        self._stays.discard(stay)
        if stay.is_wait:
            self._waiting -= 1
        self._tell_if_quiet()
        if self._parent is not None:
            self._parent.leave(stay)

    def _tell_if_quiet(self) -> None:
        if self.on_quiet is not None and self.is_quiet:
            self.on_quiet()


class Stay:
    """The time a task spends behind a gate; ends with `Blocked` if the gate stops it."""

    __slots__ = ("_gate", "_is_stopped", "_task", "is_rest", "is_wait")

    def __init__(self, gate: Gate, *, is_rest: bool, is_wait: bool = False) -> None:
        self._gate = gate
        self._task: asyncio.Task[object] | None = None
        self._is_stopped = False
        self.is_rest = is_rest
        self.is_wait = is_wait

    def stop(self) -> None:
        """Interrupt the task; it leaves the block with `Blocked`."""
        if self._task and not self._is_stopped:
            self._is_stopped = True
            self._task.cancel()

    def __enter__(self) -> None:
        self._gate.check()
        self._task = asyncio.current_task()
        self._gate.enter(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate.leave(self)
        if not self._is_stopped or kind is not asyncio.CancelledError:
            return
        if self._task and self._task.uncancel() > 0:
            return  # somebody outside cancelled the whole run as well: let that pass
        raise Blocked(self._gate.reason or Closed.CANCEL) from None
