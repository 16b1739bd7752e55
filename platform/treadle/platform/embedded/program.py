"""A server process as the supervisor sees it: how to start it, ask it, and stop it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from signal import SIGTERM, Signals

from treadle.platform.embedded.account import Account

IsReady = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A Python program as `main(args) -> exit code` in a module, found by name."""

    module: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """One child process under a name that stays the same over restarts."""

    name: str
    argv: tuple[str, ...]
    is_ready: IsReady
    entry: Entry | None = None
    """The same as a Python function: it can be forked from a process that has imported it."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the supervisor's own environment."""
    account: Account | None = None
    """Who runs it; `None`: who runs the supervisor."""
    stop_signal: Signals = SIGTERM
    """Asks it to end in order."""
    grace: timedelta = timedelta(seconds=10)
    """How long it may take to end before it is killed."""
