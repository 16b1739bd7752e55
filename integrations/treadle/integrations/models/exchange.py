"""One connection to an endpoint: a request goes out, its answer comes in as it arrives.

HTTP/1.1 and nothing more, on llhttp's parser. A call over httpx cost a third of what a run spends
on a model call, in layers that such a call does not need (docs/adr/0010).
"""

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol, cast

import httptools
from typing_extensions import override

MOST_UNREAD = 256 * 1024  # bytes of an answer that may wait to be read
MOST_HEAD = 100 * 1024  # bytes of a status line and headers
_INFORMATIONAL = range(100, 200)


class TransportError(Exception):
    """The connection could not be made, or broke; the message says how."""


class Unreachable(TransportError):
    """No connection was made: nothing was sent."""


class Broken(TransportError):
    """The connection ended, or what came over it is no HTTP."""


class Decoder(Protocol):
    """Undoes a content encoding."""

    def decompress(self, piece: bytes, /) -> bytes:
        """Its next bytes."""
        ...


class Connection(asyncio.Protocol):
    """One connection; one exchange at a time.

    Attributes:
        status: Of the answer, once `head` returned.
        headers: Of the answer, by lower-case name; of several the last.
        is_complete: Whether the answer has ended.
        is_closed: Whether nothing can be sent over it any more.
        on_complete: Called when an answer that was let go of has ended after all.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_complete = True
        self.is_closed = False
        self.on_complete: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._head_bytes = 0
        self._has_head = False
        self._is_kept = False
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: TransportError | None = None

    # What asyncio calls.

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    @override
    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._parser is None or self.is_complete:
            self.abort()  # nobody asked
            return
        self._head_bytes += 0 if self._has_head else len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Broken(f"no HTTP: {error}"))
        if not self._has_head and self._head_bytes > MOST_HEAD:
            self._fail(Broken(f"more than {MOST_HEAD:,} bytes of headers"))
        if self._unread > MOST_UNREAD and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer, if that is how it ends."""
        self.is_closed = True
        if self.is_complete:
            return
        if exc is None and self._has_head and self._ends_with_connection():
            self._complete()
        else:
            self._fail(Broken(str(exc) if exc else "the connection was closed"))
        self._wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Refuse a second answer."""
        if self.is_complete:
            raise ValueError("two answers to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; trailers are passed over."""
        if not self._has_head:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note the status."""
        assert self._parser is not None  # noqa: S101 - it is calling
        self.status = self._parser.get_status_code()
        self._has_head = self.status not in _INFORMATIONAL

    def on_body(self, body: bytes) -> None:
        """Keep a piece."""
        self._unread += len(body)
        if self.on_complete is None:
            self._pieces.append(body)
        elif self._unread > MOST_UNREAD:
            self.abort()  # what was let go of is not worth that much

    def on_message_complete(self) -> None:
        """Note the end, unless it was only the word that the answer will come."""
        if self.status in _INFORMATIONAL:
            self.headers = {}
            return
        assert self._parser is not None  # noqa: S101 - it is calling
        self._is_kept = self._parser.should_keep_alive()  # it knows only now
        self._complete()

    # What callers do.

    def send(self, request: bytes) -> None:
        """Begin an exchange."""
        assert self._transport is not None  # noqa: S101 - it was made before anybody has it
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers = 0, {}
        self.is_complete = self._has_head = self._is_kept = False
        self._head_bytes = self._unread = 0
        self._pieces.clear()
        self._transport.write(request)

    async def head(self) -> None:
        """Return when status and headers are there; raises `Broken`."""
        while not self._has_head:
            await self._news()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, decoded; raises `Broken`."""
        decoder = _decoder(self.headers.get("content-encoding", ""))
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._unread -= len(piece)
                yield piece if decoder is None else _decoded(decoder, piece)
            if self._is_paused and self._transport is not None and not self.is_closed:
                self._is_paused = False
                self._transport.resume_reading()
            if self.is_complete and self._error is None:
                return
            await self._news()

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange may follow the one that has ended."""
        return self.is_complete and self._is_kept and self._error is None and not self.is_closed

    def let_go(self) -> None:
        """Read on to the answer's end, but keep nothing of it."""
        self._pieces.clear()
        self._unread = 0
        if self._is_paused and self._transport is not None and not self.is_closed:
            self._is_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once."""
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._error is not None and not self._pieces:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _complete(self) -> None:
        self.is_complete = True
        if self.on_complete is not None:
            self.on_complete()

    def _fail(self, error: TransportError) -> None:
        self._error = self._error or error
        self.is_complete = True
        self.abort()

    def _ends_with_connection(self) -> bool:
        is_chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        return not is_chunked and "content-length" not in self.headers


def _decoder(encoding: str) -> Decoder | None:
    """For servers that compress although nobody asked them to."""
    match encoding.strip().lower():
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 32)  # finds out which of the two it is
        case _:
            return None


def _decoded(decoder: Decoder, piece: bytes) -> bytes:
    try:
        return decoder.decompress(piece)
    except zlib.error as error:
        raise Broken(f"a broken content encoding: {error}") from error
