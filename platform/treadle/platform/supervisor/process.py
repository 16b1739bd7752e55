"""One start of a program, and its end together with everything it started."""

import asyncio
import os
import signal
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from treadle.platform.embedded.program import Program
from treadle.platform.supervisor.pipes import output_pipe
from treadle.platform.supervisor.tether import tether


class Running(Protocol):
    """A child process, however it was made."""

    @property
    def pid(self) -> int:
        """Its number, and that of its session."""
        ...

    @property
    def output(self) -> StreamReader:
        """What it prints."""
        ...

    async def wait(self) -> int:
        """Return its exit code, negative for a signal, when it has ended."""
        ...


class Starter(Protocol):
    """A way to start programs."""

    async def start(self, program: Program, env: Mapping[str, str]) -> Running:
        """Start a program in a session of its own: Ctrl-C reaches the supervisor alone.

        Args:
            program: What to start.
            env: Added to the supervisor's own environment.

        Raises:
            OSError: It cannot be started now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Executed:
    """A process that was executed; see `Running`."""

    process: Process
    output: StreamReader

    @property
    def pid(self) -> int:
        """See `Running`."""
        return self.process.pid

    async def wait(self) -> int:
        """See `Running`."""
        return await self.process.wait()


class Executor:
    """Starts any program by executing it."""

    async def start(self, program: Program, env: Mapping[str, str]) -> Running:
        """See `Starter`."""
        account = program.account
        async with output_pipe() as pipe:
            process = await asyncio.create_subprocess_exec(
                *program.argv,
                stdin=DEVNULL,
                stdout=pipe.writing,
                stderr=pipe.writing,
                env={**os.environ, **env, **program.env},
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
                start_new_session=True,
                preexec_fn=tether(program.stop_signal, parent=os.getpid()),
            )
            return Executed(process, pipe.reader)


async def stop(process: Running, program: Program) -> bool:
    """Ask a process to end, and kill it when its grace is over; false if that was needed."""
    in_order = True
    with suppress(ProcessLookupError):
        os.kill(process.pid, program.stop_signal)
    try:
        async with asyncio.timeout(program.grace.total_seconds()):
            await process.wait()
    except TimeoutError:
        in_order = False
    await end_session(process)
    return in_order


async def end_session(process: Running) -> None:
    """Kill what is left of a process and of those it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def describe_end(returncode: int) -> str:
    """Say how a process ended, for people."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    return f"was killed by {signal.Signals(-returncode).name}"
