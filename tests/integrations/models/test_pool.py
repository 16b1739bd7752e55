"""Connections to endpoints: kept while they can be, and every way in which an answer may end."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from treadle.integrations.models.exchange import MOST_UNREAD, Broken, Unreachable
from treadle.integrations.models.pool import ConnectionPool

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Server:
    """Answers each request with the next of its bytes; the last for ever."""

    answers: list[tuple[bytes, bool]]
    """Bytes, and whether the connection is closed after them."""
    requests: list[bytes] = field(default_factory=list[bytes])
    pause_s: float = 0.0
    end: bytes = b""
    """What follows after a pause."""
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                number = min(len(self.requests), len(self.answers)) - 1
                answer, is_last = self.answers[number]
                writer.write(answer)
                await writer.drain()
                await asyncio.sleep(self.pause_s)
                writer.write(self.end)
                if is_last:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture
async def pool() -> AsyncIterator[ConnectionPool]:
    pool = ConnectionPool()
    yield pool
    await pool.aclose()


Start = Callable[[Server], Awaitable[Server]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    listening: list[asyncio.Server] = []

    async def begin(server: Server) -> Server:
        listening.append(await asyncio.start_server(server.serve, "127.0.0.1"))
        host, port = listening[-1].sockets[0].getsockname()
        server.url = f"http://{host}:{port}/v1/chat?x=1"
        return server

    yield begin
    for one in listening:
        one.close()
        await asyncio.sleep(0.01)  # its connections end with those of the pool


async def ask(pool: ConnectionPool, url: str) -> tuple[int, bytes]:
    async with asyncio.timeout(20), pool.post(url, b'{"a": 1}', {"X-One": "1"}) as reply:
        return reply.status_code, b"".join([piece async for piece in reply.aiter_bytes()])


def sized(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return OK + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("answer", "is_last"),
    [
        pytest.param(sized(b"hello"), False, id="by length"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
            False,
            id="in chunks, with a trailer",
        ),
        pytest.param(OK + b"\r\nhello", True, id="by the connection's end"),
        pytest.param(b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n" + sized(b"hello"), False, id="1xx"),
        pytest.param(
            sized(gzip.compress(b"hello"), b"Content-Encoding: gzip"), False, id="compressed"
        ),
    ],
)
async def test_an_answer_is_read_however_it_ends(
    start: Start, pool: ConnectionPool, answer: bytes, is_last: bool
) -> None:
    server = await start(Server([(answer, is_last)]))
    assert [await ask(pool, server.url) for _ in range(3)] == [(200, b"hello")] * 3
    assert server.connections == (3 if is_last else 1)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"X-One: 1\r\n" in head
    assert body == b'{"a": 1}'


async def test_a_connection_is_kept_when_only_the_end_was_not_waited_for(
    start: Start, pool: ConnectionPool
) -> None:
    chunk = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    server = await start(Server([(chunk, False)], pause_s=0.05, end=b"0\r\n\r\n"))
    for _ in range(3):
        async with pool.post(server.url, b'{"a": 1}', {}) as reply:
            async for piece in reply.aiter_bytes():
                assert piece == b"hello"
                break
        await asyncio.sleep(0.2)
    assert server.connections == 1


async def test_a_connection_that_the_server_closed_is_not_used_again(
    start: Start, pool: ConnectionPool
) -> None:
    server = await start(Server([(sized(b"hello"), True)]))
    for count in (1, 2):
        assert await ask(pool, server.url) == (200, b"hello")
        await asyncio.sleep(0.05)
        assert server.connections == count


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", id="no HTTP"),
        pytest.param(OK + b"Content-Length: 10\r\n\r\nhell", id="cut by length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe", id="cut in a chunk"),
        pytest.param(OK + b"X: " + b"x" * 200_000, id="a header without end"),
        pytest.param(sized(b"hello") + sized(b"again"), id="two answers"),
        pytest.param(sized(b"hello", b"Content-Encoding: gzip"), id="not what it says it is"),
    ],
)
async def test_what_breaks_off_is_no_answer(
    start: Start, pool: ConnectionPool, answer: bytes
) -> None:
    server = await start(Server([(answer, True)]))
    with pytest.raises(Broken):
        await ask(pool, server.url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
async def test_where_nobody_is_nothing_was_sent(pool: ConnectionPool, url: str) -> None:
    with pytest.raises(Unreachable):
        await ask(pool, url)


async def test_an_endpoint_is_not_read_faster_than_its_answer_is_used(
    start: Start, pool: ConnectionPool
) -> None:
    body = b"x" * 50_000_000
    server = await start(Server([(sized(body), False)]))
    async with pool.post(server.url, b'{"a": 1}', {}) as reply:
        await asyncio.sleep(0.3)
        waiting = sum(map(len, reply._connection._pieces))
        assert 0 < waiting < MOST_UNREAD + 1_000_000
        read = 0
        async for piece in reply.aiter_bytes():
            read += len(piece)
    assert read == len(body)
