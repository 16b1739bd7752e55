"""Connections to model endpoints, kept for the next call.

The endpoints are the owner's choice: their addresses may be private, so no guard stands before
them. No proxy of the environment is used, and no redirect followed: it would carry the key
elsewhere.
"""

import asyncio
import base64
import socket
import ssl
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote_to_bytes

import httpx

from treadle.integrations.models.exchange import Connection, Unreachable

CONNECT_S = 5.0
TRY_S = 1.0  # for each address of a name but the last: a network may lead nowhere
KEEP_S = 5.0  # servers close what is idle; most wait longer than this
MOST_KEPT = 64
LET_GO_S = 1.0  # for the end of an answer whose last word was read


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose head is there.

    Attributes:
        headers: By lower-case name.
    """

    status_code: int
    headers: Mapping[str, str]
    _connection: Connection

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Its body as it comes; raises `Broken`."""
        return self._connection.pieces()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an address leads, and the lines of a request to it that never change."""

    host: str
    port: int
    is_tls: bool
    head: bytes

    @property
    def origin(self) -> tuple[str, int, bool]:
        """What connections are kept by."""
        return self.host, self.port, self.is_tls


class ConnectionPool:
    """Posts JSON to endpoints. One serves a whole process; close it at the end."""

    def __init__(self) -> None:
        self._kept: defaultdict[tuple[str, int, bool], list[tuple[float, Connection]]]
        self._kept = defaultdict(list)
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncGenerator[Reply]:
        """Send a request and give its answer's head; leaving closes what has not ended.

        Raises `Unreachable` if nothing was sent, and `Broken`.
        """
        place = _place(url)
        lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        connection = self._taken(place) or await self._connect(place)
        try:
            connection.send(
                place.head + f"{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
            )
            await connection.head()
            yield Reply(connection.status, connection.headers, connection)
        except BaseException:
            connection.abort()
            raise
        self._give_back(place, connection)

    async def aclose(self) -> None:
        """Close all that are kept."""
        for kept in self._kept.values():
            for _, connection in kept:
                connection.abort()
        self._kept.clear()

    def _taken(self, place: _Place) -> Connection | None:
        now = asyncio.get_running_loop().time()
        kept = self._kept[place.origin]
        while kept:
            since, connection = kept.pop()
            if now - since < KEEP_S and connection.is_reusable:
                connection.on_complete = None
                return connection
            connection.abort()
        return None

    def _give_back(self, place: _Place, connection: Connection) -> None:
        if connection.is_complete:
            self._keep(place, connection)
            return
        # The last word was read, but not the bytes after it: they come in a moment.
        loop = asyncio.get_running_loop()
        timer = loop.call_later(LET_GO_S, connection.abort)

        def keep() -> None:
            timer.cancel()
            loop.call_soon(self._keep, place, connection)

        connection.on_complete = keep
        connection.let_go()

    def _keep(self, place: _Place, connection: Connection) -> None:
        kept = self._kept[place.origin]
        if len(kept) < MOST_KEPT and connection.is_reusable:
            kept.append((asyncio.get_running_loop().time(), connection))
        else:
            connection.abort()

    async def _connect(self, place: _Place) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await self._try_all(place)
        except TimeoutError as error:
            raise Unreachable(f"no connection within {CONNECT_S:g} s") from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    async def _try_all(self, place: _Place) -> Connection:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(TRY_S):
                    return await self._try(address, place)
            except (OSError, TimeoutError):
                continue
        return await self._try(addresses[-1], place)

    async def _try(self, address: str, place: _Place) -> Connection:
        loop = asyncio.get_running_loop()
        if not place.is_tls:
            return (await loop.create_connection(Connection, address, place.port))[1]
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        secured = await loop.create_connection(
            Connection, address, place.port, ssl=self._tls, server_hostname=place.host
        )
        return secured[1]


@cache
def _place(url: str) -> _Place:
    """Read an address of models.yaml; there are a handful."""
    read = httpx.URL(url)
    is_tls = read.scheme == "https"
    head = (
        b"POST " + read.raw_path + b" HTTP/1.1\r\nHost: " + read.netloc + b"\r\n"
        b"User-Agent: treadle\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n"
    )
    if read.userinfo:
        head += b"Authorization: Basic " + base64.b64encode(unquote_to_bytes(read.userinfo))
        head += b"\r\n"
    port = read.port or (443 if is_tls else 80)
    return _Place(read.raw_host.decode("ascii"), port, is_tls, head)
