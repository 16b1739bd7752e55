"""The supervisor's side of the nursery: asks for births, hears of ends."""

import asyncio
import signal
import socket
from asyncio import StreamReader
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from treadle.platform.embedded.program import Entry, Program
from treadle.platform.supervisor.console import Console
from treadle.platform.supervisor.cradle import Cradle, execute_cradle
from treadle.platform.supervisor.messages import (
    MESSAGE_SIZE,
    Birth,
    Born,
    Ended,
    decode,
    encode_birth,
)
from treadle.platform.supervisor.pipes import open_reader, output_pipe
from treadle.platform.supervisor.process import Running


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
    """Keeps one nursery, and opens another when it died.

    Its children die with it; they are started again like any child.

    Args:
        modules: What the nursery imports, in this order.
        cradle: The first nursery.
    """

    def __init__(self, *modules: str, cradle: Cradle, console: Console) -> None:
        self._modules = modules
        self._cradle: Cradle | None = cradle
        self._console = console
        self._turn = asyncio.Lock()
        self._ward: _Ward | None = None

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
            ward = self._ward if self._cradle is None else await self._opened()
            if ward is not None:
                await ward.close()

    async def _opened(self) -> "_Ward":
        cradle, self._cradle = self._cradle, None
        if cradle is None and (self._ward is None or self._ward.is_closed):
            cradle = execute_cradle(self._modules)
        if cradle is not None:
            self._ward = await _Ward.open(cradle, self._console)
        assert self._ward is not None  # noqa: S101 - there was a cradle for it
        return self._ward


class _Child(NamedTuple):
    pid: int
    end: asyncio.Future[int]


class _Ward:
    """One nursery process, and the children it has now."""

    def __init__(self, cradle: Cradle, copying: asyncio.Task[None]) -> None:
        self._cradle = cradle
        self._channel = cradle.channel
        self._copying = copying
        self._children: dict[int, asyncio.Future[int]] = {}
        self._answer: asyncio.Future[_Child] | None = None
        self._reaping: asyncio.Task[object] | None = None
        asyncio.get_running_loop().add_reader(self._channel, self._hear)

    @classmethod
    async def open(cls, cradle: Cradle, console: Console) -> "_Ward":
        """Listen to a nursery; it may still be importing."""
        reader, _ = await open_reader(cradle.output)
        return cls(cradle, asyncio.create_task(console.copy("nursery", reader)))

    @property
    def is_closed(self) -> bool:
        """Whether the nursery has ended, or does."""
        return self._reaping is not None

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
            answer = self._answer = asyncio.get_running_loop().create_future()
            socket.send_fds(self._channel, [encode_birth(birth)], [pipe.writing])
            child = await answer
            return Forked(child.pid, pipe.reader, child.end)

    async def close(self) -> None:
        """Let the nursery end."""
        self._lose()
        assert self._reaping is not None  # noqa: S101 - as it is lost
        await self._reaping
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
                child = _Child(pid, asyncio.get_running_loop().create_future())
                self._children[pid] = child.end
                assert self._answer is not None  # noqa: S101 - it answers a birth
                self._answer.set_result(child)

    def _lose(self) -> None:
        """Give up the nursery: what it bore counts as killed, and is."""
        if self.is_closed:
            return
        self._reaping = asyncio.create_task(asyncio.to_thread(self._cradle.reap))
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        for end in self._children.values():
            end.set_result(-signal.SIGKILL)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(OSError("the nursery ended; see its lines above"))
