"""A server outside of our walls that counts what reaches it: the oracle of this suite.

The first part of a path says what kind of receiver it is:

    /keyed/…   knows Idempotency-Key: a repeated one gets the first answer and does nothing
    /once/…    knows no keys: every request does it again
    /read/…    does nothing, and never gives the same answer twice

`?ms=N` takes its time. Every answer is `{"n": …}`, a number that no other effect was given.
"""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.chaos.background import BackgroundLoop

MOST_HEAD = 64 * 1024


@dataclass
class Arrival:
    """One request; `number` is of the effect it stands for."""

    path: str
    key: str | None
    number: int
    is_repeat: bool
    at: float = field(default_factory=time.monotonic)


Hook = Callable[[Arrival], None]


class Sink:
    """The server, on a thread and a loop of its own.

    Attributes:
        on_arrival: Called when a request has been taken in and not been answered yet.
        on_answered: Called when the answer has left.
    """

    def __init__(self, port: int = 0) -> None:
        self.on_arrival: Hook | None = None
        self.on_answered: Hook | None = None
        self._port = port
        self._numbers = itertools.count(1)
        self._arrivals: dict[str, list[Arrival]] = {}
        self._known: dict[str, int] = {}
        self._lock = threading.Lock()
        self._loop = BackgroundLoop()

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

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def catch_up(self) -> None:
        """Return when all that was on its way to this port is in the books."""
        self._loop.run(_turn_over())

    def arrivals(self, path: str) -> list[Arrival]:
        """What came for exactly this path."""
        with self._lock:
            return list(self._arrivals.get(path, ()))

    def count(self, path: str) -> int:
        return len(self.arrivals(path))

    def below(self, prefix: str) -> list[Arrival]:
        """What came for all paths that begin like this, in order."""
        with self._lock:
            found = [
                one for path, many in self._arrivals.items() if path.startswith(prefix)
                for one in many
            ]  # fmt: skip
        return sorted(found, key=lambda one: one.at)

    def keys(self, path: str) -> set[str | None]:
        return {one.key for one in self.arrivals(path)}

    def forget(self) -> None:
        """Drop what came so far; long runs do it for what they have judged."""
        with self._lock:
            self._arrivals.clear()

    def forget_below(self, *prefixes: str) -> None:
        """Drop what came for these paths."""
        with self._lock:
            for path in [one for one in self._arrivals if one.startswith(prefixes)]:
                for arrival in self._arrivals.pop(path):
                    self._known.pop(arrival.key or "", None)

    async def _close(self) -> None:
        self._server.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, limit=MOST_HEAD
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):  # the caller was killed
            pass
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = (line.partition(":") for line in head.split("\r\n")[1:])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        await reader.readexactly(int(headers.get("content-length", "0")))
        url = urlsplit(head.split(" ", 2)[1])
        arrival = self._take(url.path, headers.get("idempotency-key"))
        if self.on_arrival is not None:
            self.on_arrival(arrival)
        await asyncio.sleep(int(parse_qs(url.query).get("ms", ["0"])[0]) / 1000)
        body = json.dumps({"n": arrival.number}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        if self.on_answered is not None:
            self.on_answered(arrival)
        return True

    def _take(self, path: str, key: str | None) -> Arrival:
        with self._lock:
            known = self._known.get(key) if key and path.startswith("/keyed/") else None
            arrival = Arrival(path, key, known or next(self._numbers), known is not None)
            if key is not None:
                self._known.setdefault(key, arrival.number)
            self._arrivals.setdefault(path, []).append(arrival)
        return arrival


async def _turn_over() -> None:
    """Let the loop accept, read and answer what the system has for it, with turns to spare."""
    for _ in range(20):
        await asyncio.sleep(0)
