"""Clients of a streaming server, made to cost little: they count events and note when they came."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from pydantic import JsonValue

END = b"0\r\n\r\n"


@dataclass
class Heard:
    """What one client heard.

    Attributes:
        came: When each piece came, in seconds since the start.
        tokens: As the stream's usage says.
    """

    came: list[float] = field(default_factory=list[float])
    tokens: int = 0

    @property
    def gaps(self) -> list[float]:
        """Seconds between one piece and the next."""
        return [later - sooner for sooner, later in zip(self.came, self.came[1:], strict=False)]


async def listen(port: int, body: dict[str, JsonValue], *, leave_after: int | None = None) -> Heard:
    """Ask, and hear the answer to its end or to so many pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    writer.write(head.encode() + sent)
    heard, last = Heard(), b""
    try:
        while part := await reader.read(1 << 16):
            # The first only tells the role, unless the first token has caught up with it.
            if b"data: {" in part and (part.count(b"data: {") > 1 or b'"role"' not in part):
                heard.came.append(perf_counter())
            last = last[-4096:] + part
            if leave_after is not None and len(heard.came) >= leave_after:
                return heard
        heard.tokens = _tokens(last)
    finally:
        writer.close()
    return heard


def _tokens(end: bytes) -> int:
    """The stream's last event but the end mark tells the usage."""
    if not end.endswith(END):
        raise RuntimeError(f"a stream was cut: {end[-200:]!r}")
    told = [line for line in end.split(b"\n") if line.startswith(b"data: {")]
    usage = json.loads(told[-1].removeprefix(b"data: "))["usage"]
    return int(usage["completion_tokens"])


async def ask_many(port: int, body: dict[str, JsonValue], *, count: int, at_once: int) -> int:
    """So many whole answers over connections that stay open; the tokens of all."""
    left = iter(range(count))
    sent = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    )

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        tokens = 0
        for _ in left:
            writer.write(head.encode() + sent)
            top = await reader.readuntil(b"\r\n\r\n")
            length = int(top.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            tokens += answer["usage"]["completion_tokens"]
        writer.close()
        return tokens

    return sum(await asyncio.gather(*(ask() for _ in range(at_once))))


async def read_metrics(port: int) -> dict[str, float]:
    """Prometheus' numbers by name, those without labels."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    lines = [line.split() for line in text.splitlines() if line.startswith("treadle_")]
    return {words[0]: float(words[1]) for words in lines if len(words) == 2}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not pass."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
