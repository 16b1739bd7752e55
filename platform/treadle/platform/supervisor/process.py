"""One start of a program, and its end together with everything it started."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping
from contextlib import suppress

from treadle.platform.embedded.program import Program
from treadle.platform.supervisor.tether import tether

_LONGEST_LINE = 1 << 20  # bytes; a longer one is cut by the reader below


async def start(program: Program, env: Mapping[str, str]) -> Process:
    """Start a program in a session of its own: Ctrl-C reaches the supervisor alone."""
    account = program.account
    return await asyncio.create_subprocess_exec(
        *program.argv,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        limit=_LONGEST_LINE,
        env={**env, **program.env},
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
        start_new_session=True,
        preexec_fn=tether(program.stop_signal),
    )


async def stop(process: Process, program: Program) -> bool:
    """Ask a process to end, and kill it when its grace is over; false if that was needed."""
    in_order = True
    with suppress(ProcessLookupError):
        process.send_signal(program.stop_signal)
    try:
        async with asyncio.timeout(program.grace.total_seconds()):
            await process.wait()
    except TimeoutError:
        in_order = False
    await end_session(process)
    return in_order


async def end_session(process: Process) -> None:
    """Kill what is left of a process and of those it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def describe_end(returncode: int) -> str:
    """Say how a process ended, for people."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    return f"was killed by {signal.Signals(-returncode).name}"
