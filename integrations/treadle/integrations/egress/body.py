"""Reading an answer's body: counted as it travels and as it unfolds, until the deadline."""

import asyncio
import zlib
from collections.abc import AsyncIterator

import httpcore
import httpx
from typing_extensions import override

from treadle.integrations.egress.failures import EXPECTED, failure, refused_answer
from treadle.integrations.egress.rules import Rules
from treadle.integrations.errors import ErrorClass, ToolError

RATIO_FLOOR = 64_000  # bytes; small answers of repeated text compress better than any bomb needs
_CHUNK = 65_536
_GZIP = 16 + zlib.MAX_WBITS


class BoundedStream(httpx.AsyncByteStream):
    """The decoded body of one answer; raises `ToolError` past a limit or the deadline."""

    def __init__(
        self, response: httpcore.Response, *, url: httpx.URL, rules: Rules, deadline: float
    ) -> None:
        self._response = response
        self._url = url
        self._rules = rules
        self._deadline = deadline
        self._wire = 0
        self._decoded = 0
        is_gzip = encoding_of(response) == "gzip"
        self._gunzip = _Gunzip(limit=rules.max_bytes) if is_gzip else None

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = self._response.aiter_stream()
        while (chunk := await self._next(chunks)) is not None:
            self._wire += len(chunk)
            if self._wire > self._rules.max_wire_bytes:
                raise too_large(self._url, self._rules.max_wire_bytes)
            for piece in self._unfold(chunk):
                yield self._counted(piece)
        if rest := self._finish():
            yield self._counted(rest)

    @override
    async def aclose(self) -> None:
        await self._response.aclose()

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(chunks, None)
        except EXPECTED as error:
            raise failure(error, self._url, was_sent=True) from error

    def _unfold(self, chunk: bytes) -> list[bytes]:
        if self._gunzip is None:
            return [chunk]
        try:
            return self._gunzip.feed(chunk)
        except zlib.error as error:
            raise self._broken(str(error)) from error

    def _finish(self) -> bytes:
        if self._gunzip is None or not self._wire:
            return b""
        rest = self._gunzip.finish()
        if not self._gunzip.is_complete:
            raise self._broken("it ends too early")
        return rest

    def _counted(self, piece: bytes) -> bytes:
        self._decoded += len(piece)
        if self._decoded > self._rules.max_bytes:
            raise too_large(self._url, self._rules.max_bytes)
        if self._decoded > RATIO_FLOOR and self._decoded > self._rules.max_ratio * self._wire:
            raise refused_answer(
                self._url,
                f"unfolds to more than {self._rules.max_ratio} times its size",
                code="compression_bomb",
            )
        return piece

    def _broken(self, reason: str) -> ToolError:
        return refused_answer(
            self._url,
            f"sent a broken gzip body ({reason})",
            code="bad_answer",
            error_class=ErrorClass.UPSTREAM,
        )


class _Gunzip:
    """Incremental gzip, several members included; makes little more than `limit` at once."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._member = zlib.decompressobj(_GZIP)

    @property
    def is_complete(self) -> bool:
        return self._member.eof

    def feed(self, chunk: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        size = 0
        while chunk and size <= self._limit:
            if self._member.eof:
                if not chunk.startswith(b"\x1f"):
                    break  # padding after the last member
                self._member = zlib.decompressobj(_GZIP)
            pieces.append(self._member.decompress(chunk, _CHUNK))
            size += len(pieces[-1])
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return pieces

    def finish(self) -> bytes:
        """What inflate still held back: at most one match."""
        return b"" if self._member.eof else self._member.flush()


def encoding_of(response: httpcore.Response) -> str:
    """The content encoding, `identity` if none is named."""
    values = [value for name, value in response.headers if name.lower() == b"content-encoding"]
    joined = b",".join(values).decode("latin-1").strip().lower()
    return {"": "identity", "x-gzip": "gzip"}.get(joined, joined)


def too_large(url: httpx.URL, limit: int) -> ToolError:
    """An answer that is longer than its reader takes, or never ends."""
    return refused_answer(
        url, f"answered with more than {limit:,} bytes", code="response_too_large"
    )
