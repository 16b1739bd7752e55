"""Stands between the service and PostgreSQL, and lets a test strike at an exact statement.

It is a proxy on a Unix socket, so the kernel says which process speaks. It reads just enough of
the protocol to know where a statement ends, when it was carried out, and which entries of the log
it writes; the service does not know that it is there.
"""

import asyncio
import os
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from tests.chaos.background import BackgroundLoop

SOCKET_NAME = ".s.PGSQL.5432"
_ENTRY = re.compile(rb'\{"t":"((?:run|step|call)\.\w+)"(?:,"path":"([^"]*)")?')
_CALL = re.compile(rb'"call":"([^"]*)"')
_STATEMENT_ENDS = (b"S", b"Q")
_LOOK_S = 0.005


class Moment(StrEnum):
    """Of a statement: before the database has it, or after it was carried out and unanswered."""

    BEFORE = "before"
    AFTER = "after"


class Act(StrEnum):
    """What happens then."""

    KILL = "kill"
    CUT = "cut"
    HOLD = "hold"


Matches = Callable[[bytes], bool]


@dataclass
class Trap:
    """Springs once.

    Attributes:
        of: The child whose statements count.
        released: Ends a `HOLD`.
    """

    matches: Matches
    moment: Moment = Moment.BEFORE
    act: Act = Act.KILL
    of: str = "worker"
    sprung: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait_sprung(self, within_s: float = 30.0) -> None:
        assert self.sprung.wait(within_s), f"no such statement within {within_s:g} s"


class Interceptor:
    """The proxy, on a thread and a loop of its own.

    Args:
        folder: For its socket; short, as such paths are.
        upstream: The server's socket.

    Attributes:
        delay_s: Added to every statement: from, to.
        is_severed: Whether nobody gets through.
    """

    def __init__(self, folder: Path, upstream: Path) -> None:
        self._folder = folder
        self._upstream = upstream
        self._traps: list[Trap] = []
        self._lock = threading.Lock()
        self._seen: list[str] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = BackgroundLoop()
        self.delay_s = 0.0
        self.is_severed = False

    def __enter__(self) -> Self:
        self._loop.start()
        self._loop.run(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.run(self._close())
        self._loop.stop()

    def arm(self, trap: Trap) -> Trap:
        """Set a trap; the first statement that matches springs it."""
        with self._lock:
            self._traps.append(trap)
        return trap

    def disarm(self) -> None:
        """Take all traps away."""
        with self._lock:
            for trap in self._traps:
                trap.released.set()
            self._traps.clear()

    def labels(self) -> list[str]:
        """Entries that workers have written since the last call, in order."""
        with self._lock:
            seen, self._seen = self._seen, []
        return seen

    def cut_all(self) -> None:
        """Break every connection."""
        self._loop.run(self._abort_all())

    async def _abort_all(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()

    async def _listen(self) -> None:
        path = self._folder / SOCKET_NAME
        self._server = await asyncio.start_unix_server(self._serve, path)
        path.chmod(0o777)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: socket.socket = writer.get_extra_info("socket")
        pid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        link = _Link(self, pid, reader, writer)
        self._writers.add(writer)
        try:
            if not self.is_severed:
                await link.live(self._upstream)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    def note(self, statement: bytes) -> None:
        """Remember what a worker writes."""
        found = labels_of(statement)
        with self._lock:
            self._seen.extend(found)

    def trap_for(self, name: str, statement: bytes) -> Trap | None:
        """The trap that this statement of this process springs."""
        with self._lock:
            for trap in self._traps:
                if trap.of == name and trap.matches(statement):
                    self._traps.remove(trap)
                    return trap
        return None


class _Link:
    """One connection of the service, and ours to the server for it."""

    def __init__(
        self,
        owner: Interceptor,
        pid: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._owner = owner
        self._pid = pid
        self._reader = reader
        self._writer = writer
        self._after: Trap | None = None

    async def live(self, upstream: Path) -> None:
        """Pass everything on in both directions until one side leaves."""
        self._name = _name_of(self._pid)
        server_reader, self._server = await asyncio.open_unix_connection(str(upstream))
        ways = [
            asyncio.create_task(self._to_server()),
            asyncio.create_task(self._to_client(server_reader)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            ends = await asyncio.gather(*ways, return_exceptions=True)
            self._server.close()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _to_server(self) -> None:
        length = struct.unpack("!i", await self._reader.readexactly(4))[0]
        start = await self._reader.readexactly(length - 4)
        self._server.write(struct.pack("!i", length) + start)
        statement = b""
        while True:
            kind = await self._reader.readexactly(1)
            size = await self._reader.readexactly(4)
            body = await self._reader.readexactly(struct.unpack("!i", size)[0] - 4)
            statement += kind + size + body
            if kind in _STATEMENT_ENDS or kind in {b"p", b"X", b"H"}:
                await self._pass(statement)
                statement = b""

    async def _pass(self, statement: bytes) -> None:
        if self._name == "worker":
            self._owner.note(statement)
        if self._owner.delay_s:
            await asyncio.sleep(self._owner.delay_s)
        trap = self._owner.trap_for(self._name, statement)
        if trap is not None and trap.moment is Moment.AFTER:
            self._after = trap
        elif trap is not None:
            await self._spring(trap)
        self._server.write(statement)
        await self._server.drain()

    async def _to_client(self, reader: asyncio.StreamReader) -> None:
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
            if self._after is not None:  # its answer is kept back until the database is done
                if head[:1] != b"Z":
                    continue
                trap, self._after = self._after, None
                await self._spring(trap)
            self._writer.write(head + body)
            await self._writer.drain()

    async def _spring(self, trap: Trap) -> None:
        """Strike; comes back only from a `HOLD`."""
        if trap.act is Act.KILL:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        trap.sprung.set()
        if trap.act is not Act.HOLD:
            raise ConnectionAbortedError
        while not trap.released.is_set():  # noqa: ASYNC110 - set from another thread
            await asyncio.sleep(_LOOK_S)


def _name_of(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return name.removeprefix("treadle-")


def labels_of(statement: bytes) -> list[str]:
    """The log entries that a statement writes: `step.succeeded a.b`, `call.succeeded x model.1`."""
    text = statement.replace(b'\\"', b'"')
    starts = list(_ENTRY.finditer(text))
    found: list[str] = []
    for number, match in enumerate(starts, 1):
        end = starts[number].start() if number < len(starts) else len(text)
        call = _CALL.search(text, match.start(), end)
        parts = (match[1], match[2] or b"", call[1] if call and match[1][:4] == b"call" else b"")
        found.append(b" ".join(part for part in parts if part).decode())
    return found


def writes(label: str) -> Matches:
    """A statement that writes this entry."""
    return lambda statement: label in labels_of(statement)


def names(run: str) -> Matches:
    """A statement that has this run's id among its values."""
    id_ = UUID(run)
    forms = (str(id_).encode(), id_.hex.encode(), id_.bytes)
    return lambda statement: any(form in statement for form in forms)
