"""Keeps one child alive under its name, for as long as the supervisor lives."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

from treadle.platform.embedded.program import Program
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.process import Running, Starter, describe_end, end_session, stop

BACKOFF_S = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Pauses before the restarts of a child that keeps ending; the last one stays."""
STEADY_S = 10.0
"""A child that lived this long begins at the first pause again."""
_LOOK_EVERY_S = 0.05


class Keeper:
    """One child: starts it, starts it again when it ends, ends it in order."""

    def __init__(
        self, program: Program, *, starter: Starter, env: Mapping[str, str], console: Console
    ) -> None:
        self.program = program
        self._starter = starter
        self._env = env
        self._console = console
        self._ending = asyncio.Event()
        self._process: Running | None = None
        self._keeping: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the child and keep it; returns at once."""
        self._keeping = asyncio.create_task(self._keep(), name=self.program.name)

    async def wait_ready(self) -> None:
        """Wait until the child does its work; one that keeps ending is waited for, too."""
        while not await self.program.is_ready():  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(_LOOK_EVERY_S)

    async def end(self) -> None:
        """End the child in order; it is not started again."""
        self._ending.set()
        if self._keeping is not None:
            await self._keeping

    async def kill(self) -> None:
        """End the child at once."""
        self._ending.set()
        if self._process is not None:
            await end_session(self._process)

    async def _keep(self) -> None:
        failures = 0
        while not self._ending.is_set():
            started = time.monotonic()
            end = await self._live_once()
            if self._ending.is_set():
                return
            failures = 1 if time.monotonic() - started >= STEADY_S else failures + 1
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1]
            when = f"again in {pause_s:g} s" if pause_s else "again now"
            self._console.say(f"{self.program.name} {end}; it is started {when}")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._ending.wait()

    async def _live_once(self) -> str:
        """Start the child and see it through; returns how it ended, in words."""
        try:
            process = await self._starter.start(self.program, self._env)
        except OSError as error:
            return f"could not be started ({error})"
        self._process = process
        copying = asyncio.create_task(self._console.copy(self.program.name, process.output))
        await self._ended_or_unwanted(process)
        if self._ending.is_set() and not await stop(process, self.program):
            grace_s = self.program.grace.total_seconds()
            self._console.say(f"{self.program.name} did not stop in {grace_s:g} s and was killed")
        # What it started itself may still hold its port, or its end of the pipe.
        await end_session(process)
        await copying
        return describe_end(await process.wait())

    async def _ended_or_unwanted(self, process: Running) -> None:
        waits = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(self._ending.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
