"""One engine as a child process: started, watched, restarted, ended with all its children."""

import asyncio
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from treadle.model_runtime.errors import EngineFailed

log = logging.getLogger(__name__)
KEPT_LINES = 20
LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each thing may take, in seconds; `failures` starts in a row are the end.

    Attributes:
        ready: From start to first answer. DeepGEMM compiles for ten minutes on a first start,
            and 700 GB take their time from any disk.
        silence: Between probes that find the engine well.
        misses: Failed probes in a row that count as hung.
        grace: From SIGTERM to SIGKILL.
    """

    ready: float = 3_600
    poll: float = 1
    silence: float = 15
    misses: int = 4
    grace: float = 30
    first_pause: float = 1
    longest_pause: float = 60
    failures: int = 3


@dataclass(slots=True)
class EngineProcess:
    """Keeps one command running from `start` to `stop`.

    Attributes:
        is_ready: Whether the engine answers for the first time; asked again and again.
        is_alive: Whether it is well; asked now and then, and cheap, for it may be busy.
        restarts: Starts after the first one.
    """

    command: Sequence[str]
    is_ready: Callable[[], Awaitable[bool]]
    is_alive: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    patience: Patience = Patience()
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    _process: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the command and watch it."""
        self._watch = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """End it: SIGTERM to the whole group, SIGKILL to what is left after the grace."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._end()

    async def finished(self) -> None:
        """Wait until it is given up; only `stop` ends it otherwise.

        Raises:
            EngineFailed: It failed too often in a row.
        """
        if self._watch is not None:
            await asyncio.shield(self._watch)

    async def _keep_running(self) -> None:
        failures, pause = 0, self.patience.first_pause
        while True:
            lasted = await self._run_once()
            failures = 0 if lasted else failures + 1
            pause = self.patience.first_pause if lasted else pause
            if failures >= self.patience.failures:
                raise EngineFailed(
                    f"the engine failed {failures} times in a row before it answered; its last "
                    f"lines: {' | '.join(self._tail) or 'none'}"
                )
            log.warning("engine.restarting after_s=%g restarts=%d", pause, self.restarts)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.patience.longest_pause)
            self.restarts += 1

    async def _run_once(self) -> bool:
        """From a start to an end; whether it was ready in between."""
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            env={**os.environ, **self.env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_BYTES,
            start_new_session=True,
        )
        log.info("engine.started pid=%d", self._process.pid)
        reading = asyncio.create_task(self._pass_on(self._process))
        try:
            was_ready = await self._await_ready(self._process)
            if was_ready:
                log.info("engine.ready pid=%d", self._process.pid)
                self.ready.set()
                await self._await_end(self._process)
            return was_ready
        finally:
            self.ready.clear()
            await self._end()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _await_ready(self, process: asyncio.subprocess.Process) -> bool:
        deadline = monotonic() + self.patience.ready
        while process.returncode is None:
            if await self.is_ready():
                return True
            if monotonic() > deadline:
                log.error("engine.late after_s=%g", self.patience.ready)
                return False
            await self._sleep_or_end(process, self.patience.poll)
        log.error("engine.ended code=%s before=ready", process.returncode)
        return False

    async def _await_end(self, process: asyncio.subprocess.Process) -> None:
        """Until it ends by itself, or has not answered for too long."""
        misses = 0
        while process.returncode is None and misses < self.patience.misses:
            await self._sleep_or_end(process, self.patience.silence)
            if process.returncode is None:
                misses = 0 if await self.is_alive() else misses + 1
        log.error("engine.ended code=%s misses=%d", process.returncode, misses)

    async def _sleep_or_end(self, process: asyncio.subprocess.Process, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)

    async def _end(self) -> None:
        """The group is the whole engine: its workers would outlive a parent that crashed."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.patience.grace)
        except TimeoutError:
            log.warning("engine.killed pid=%d", process.pid)
        finally:
            _signal_group(process.pid, signal.SIGKILL)
        await process.wait()

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        """Its output is ours; the last lines are kept for the error."""
        assert process.stdout is not None  # noqa: S101 - asked for above
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._tail.append(text)
            sys.stderr.write(f"engine: {text}\n")


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
