"""The supervisor's side of the nursery: asks for births, hears of ends."""

import asyncio
import os
import signal
import socket
import sys
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from treadle.platform.embedded.program import Entry, Program
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.messages import (
    MESSAGE_SIZE,
    Birth,
    Born,
    Ended,
    Hello,
    decode,
    encode_birth,
)
from treadle.platform.supervisor.pipes import output_pipe
from treadle.platform.supervisor.process import Running
from treadle.platform.supervisor.tether import tether

_MODULE = "treadle.platform.supervisor.nursery"


@dataclass(frozen=True, slots=True)
class Forked:
    """A process that the nursery made; see `Running`."""

    pid: int
    output: StreamReader
    end: asyncio.Future[int]

    async def wait(self) -> int:
        """See `Running`."""
        return await asyncio.shield(self.end)


class Nurse:
    """Keeps one nursery, which is opened at the first birth and again when it died.

    Its children die with it; they are started again like any child.
    """

    def __init__(self, *modules: str, console: Console) -> None:
        self._modules = modules
        self._console = console
        self._turn = asyncio.Lock()
        self._ward: _Ward | None = None

    async def open(self) -> None:
        """Open the nursery before it is needed.

        Raises:
            OSError: It cannot be started, or cannot import the modules.
        """
        async with self._turn:
            await self._opened()

    async def start(self, program: Program, env: Mapping[str, str]) -> Running:
        """Fork a program; see `Starter`."""
        if program.entry is None:
            raise OSError(f"{program.name} is no Python program")
        async with self._turn:
            ward = await self._opened()
            return await ward.bear(program, program.entry, env)

    async def close(self) -> None:
        """End the nursery; its children have ended before."""
        async with self._turn:
            if self._ward is not None:
                await self._ward.close()

    async def _opened(self) -> "_Ward":
        if self._ward is None or self._ward.is_closed:
            self._ward = await _Ward.open(self._modules, self._console)
        return self._ward


class _Child(NamedTuple):
    pid: int
    end: asyncio.Future[int]


class _Ward:
    """One nursery process, and the children it has now."""

    def __init__(
        self, process: Process, channel: socket.socket, copying: asyncio.Task[None]
    ) -> None:
        self._process = process
        self._channel = channel
        self._copying = copying
        self._children: dict[int, asyncio.Future[int]] = {}
        self._answer: asyncio.Future[_Child | None] = asyncio.get_running_loop().create_future()
        self.is_closed = False
        asyncio.get_running_loop().add_reader(channel, self._hear)

    @classmethod
    async def open(cls, modules: tuple[str, ...], console: Console) -> "_Ward":
        """Start a nursery and wait until it has imported everything."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            async with output_pipe() as pipe:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", _MODULE, str(theirs.fileno()), *modules,
                    stdin=DEVNULL,
                    stdout=pipe.writing,
                    stderr=pipe.writing,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    preexec_fn=tether(signal.SIGTERM, parent=os.getpid()),
                )  # fmt: skip
                copying = asyncio.create_task(console.copy("nursery", pipe.reader))
        ward = cls(process, ours, copying)
        await ward._answer
        return ward

    async def bear(self, program: Program, entry: Entry, env: Mapping[str, str]) -> Forked:
        """Fork one child."""
        birth = Birth(
            name=program.name,
            module=entry.module,
            args=entry.args,
            env={**env, **program.env},
            stop_signal=int(program.stop_signal),
        )
        async with output_pipe() as pipe:
            self._answer = asyncio.get_running_loop().create_future()
            socket.send_fds(self._channel, [encode_birth(birth)], [pipe.writing])
            child = await self._answer
            assert child is not None  # noqa: S101 - a hello comes once, before all births
            return Forked(child.pid, pipe.reader, child.end)

    async def close(self) -> None:
        """Let the nursery end."""
        self._lose()
        await self._process.wait()
        await self._copying

    def _hear(self) -> None:
        try:
            packet = self._channel.recv(MESSAGE_SIZE)
        except OSError:
            packet = b""
        if not packet:
            self._lose()
            return
        match decode(packet):
            case Ended(pid=pid, returncode=returncode):
                self._children.pop(pid).set_result(returncode)
            case Born(pid=pid):
                self._children[pid] = asyncio.get_running_loop().create_future()
                self._answer.set_result(_Child(pid, self._children[pid]))
            case Hello():
                self._answer.set_result(None)

    def _lose(self) -> None:
        """Give up the nursery: what it bore counts as killed, and is."""
        if self.is_closed:
            return
        self.is_closed = True
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        for end in self._children.values():
            end.set_result(-signal.SIGKILL)
        if not self._answer.done():
            self._answer.set_exception(OSError("the nursery ended; see its lines above"))
