"""Posting many different requests over a few connections that are kept, and reading streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


class Refused(Exception):
    """The service answered with an error."""


@dataclass(frozen=True)
class Post:
    """One request: where, under which key, what."""

    path: str
    key: str
    body: Mapping[str, object]


async def post_all(url: str, posts: Iterable[Post], *, connections: int) -> list[dict[str, object]]:
    """Post them in order, each as soon as a connection is free; returns the answers.

    Raises `Refused` at the first answer that is no success.
    """
    left = iter(list(posts))
    answers: list[dict[str, object]] = []
    await asyncio.gather(*(_post_some(url, left, answers) for _ in range(connections)))
    return answers


async def _post_some(url: str, left: Iterable[Post], answers: list[dict[str, object]]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for post in left:
        body = json.dumps(post.body).encode()
        head = (
            f"POST {post.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {post.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status, headers = await _head(reader)
        answer = await reader.readexactly(int(headers["content-length"]))
        if status >= 300:
            raise Refused(f"{post.path}: {status} {answer[:300].decode()}")
        answers.append(json.loads(answer))
    writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = text.strip().split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, value in pairs}


async def events(
    url: str, path: str, key: str, *, after: int = 0
) -> AsyncIterator[tuple[int | None, str]]:
    """Ids and types of a stream's events, until the server ends it."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        (
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Last-Event-ID: {after}\r\nConnection: close\r\n\r\n"
        ).encode()
    )
    status, _ = await _head(reader)
    if status >= 300:
        raise Refused(f"{path}: {status}")
    number: int | None = None
    try:
        async for raw in reader:  # chunk sizes stand on lines of their own and are no fields
            line = raw.decode().rstrip("\r\n")
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("event: "):
                yield number, line[7:]
                number = None
    finally:
        writer.close()
