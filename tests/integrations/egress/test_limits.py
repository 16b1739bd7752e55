"""What an answer may take: size, ratio, time; and what each failure is called."""

import asyncio
import gzip
import itertools
import socket
import ssl
import threading
from collections.abc import AsyncIterator

import pytest
from tests.doubles.web_server import Reply, WebServer, html

from treadle.integrations.egress import GuardedClient, Policy, Rules, build_client
from treadle.integrations.errors import Delivery, ErrorClass, ToolError

MB = 1_000_000


@pytest.fixture
async def client() -> AsyncIterator[GuardedClient]:
    async with build_client(Policy.parse("127.0.0.1/32")) as client:
        yield client


async def failing(client: GuardedClient, url: str, rules: Rules | None = None) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await client.get(url, extensions=(rules or Rules()).extensions())
    return caught.value


async def test_gzip_is_unfolded_several_members_too(client: GuardedClient, web: WebServer) -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0"
    web.routes["/"] = Reply(body, headers={"Content-Encoding": "gzip"})
    response = await client.get(f"{web.url}/")
    assert response.text == "one two"
    assert "content-encoding" not in response.headers
    assert web.asked[0].headers["accept-encoding"] == "gzip"


async def test_a_body_up_to_the_limit_passes(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = Reply(b"x" * 2 * MB)
    assert len((await client.get(f"{web.url}/")).content) == 2 * MB


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"x" * (2 * MB + 1)),
        Reply(itertools.repeat(b"x" * 65_536)),
        Reply(
            gzip.compress(b"".join(bytes([n % 251, n % 83, n % 97]) for n in range(MB))),
            headers={"Content-Encoding": "gzip"},
        ),
    ],
    ids=["announced", "endless", "unfolded"],
)
async def test_a_longer_body_is_cut_off(
    client: GuardedClient, web: WebServer, reply: Reply
) -> None:
    web.routes["/"] = reply
    error = await failing(client, f"{web.url}/")
    assert error.code == "response_too_large"
    assert error.error_class is ErrorClass.DENIED
    assert "2,000,000 bytes" in error.message


@pytest.mark.slow
async def test_a_bomb_is_cut_off_by_its_ratio(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = Reply(gzip.compress(b"\0" * 300 * MB), headers={"Content-Encoding": "gzip"})
    rules = Rules(max_bytes=500 * MB, max_wire_bytes=500 * MB)
    assert (await failing(client, f"{web.url}/", rules)).code == "compression_bomb"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
async def test_only_one_gzip_is_unfolded(
    client: GuardedClient, web: WebServer, encoding: str
) -> None:
    body = gzip.compress(gzip.compress(b"x"))
    web.routes["/"] = Reply(body, headers={"Content-Encoding": encoding})
    assert (await failing(client, f"{web.url}/")).code == "bad_encoding"


@pytest.mark.parametrize(
    "body", [b"no gzip at all", gzip.compress(b"x" * 1000)[:-9]], ids=["no gzip", "cut"]
)
async def test_a_broken_gzip_is_a_bad_answer(
    client: GuardedClient, web: WebServer, body: bytes
) -> None:
    web.routes["/"] = Reply(body, headers={"Content-Encoding": "gzip"})
    error = await failing(client, f"{web.url}/")
    assert (error.code, error.error_class) == ("bad_answer", ErrorClass.UPSTREAM)


async def test_a_slow_drip_is_cut_at_the_total_time(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = Reply(itertools.repeat(b"x"), pause_s=0.05)
    error = await failing(client, f"{web.url}/", Rules(total_s=0.4))
    assert (error.code, error.error_class) == ("total_timeout", ErrorClass.TIMEOUT)
    assert error.delivery is Delivery.UNKNOWN


async def test_silence_is_cut_at_the_read_time(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = Reply(iter([b"x", b"y"]), pause_s=5)
    error = await failing(client, f"{web.url}/", Rules(read_s=0.2))
    assert (error.code, error.error_class) == ("read_timeout", ErrorClass.TIMEOUT)


async def test_endless_headers_are_cut(client: GuardedClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        drip = threading.Thread(target=_endless_headers, args=(listener,), daemon=True)
        drip.start()
        error = await failing(client, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        drip.join(timeout=5)
    assert (error.code, error.error_class) == ("bad_answer", ErrorClass.UPSTREAM)


def _endless_headers(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        try:
            for number in itertools.count():
                connection.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))
        except OSError:
            return


async def test_a_type_that_is_not_wanted_is_not_read(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = Reply(itertools.repeat(b"x" * 1000), content_type="application/pdf")
    error = await failing(client, f"{web.url}/", Rules(content_types=("text/html",)))
    assert (error.code, error.error_class) == ("content_type_refused", ErrorClass.INVALID_INPUT)
    assert "'application/pdf'" in error.message


async def test_nobody_there_means_nothing_was_sent(client: GuardedClient) -> None:
    error = await failing(client, "http://127.0.0.1:9/")
    assert (error.code, error.error_class) == ("unreachable", ErrorClass.UPSTREAM)
    assert error.delivery is Delivery.NOT_SENT


async def test_a_hang_up_may_have_had_its_effect(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = Reply(hangs_up=True)
    error = await failing(client, f"{web.url}/")
    assert error.error_class is ErrorClass.UPSTREAM
    assert error.delivery is Delivery.UNKNOWN


async def test_a_certificate_of_nobody_is_refused(client: GuardedClient) -> None:
    """A server that speaks no TLS: nothing of the request may leave."""
    with WebServer({"/": html("x")}) as server:
        error = await failing(client, f"https://127.0.0.1:{server.port}/")
    assert (error.code, error.delivery) == ("unreachable", Delivery.NOT_SENT)
    assert server.asked == []


async def test_cookies_are_neither_kept_nor_sent(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = Reply(b"x", headers={"Set-Cookie": "a=b"})
    await client.get(f"{web.url}/")
    await client.get(f"{web.url}/")
    assert "cookie" not in web.asked[1].headers


async def test_no_connection_is_kept_for_a_later_request(
    client: GuardedClient, web: WebServer
) -> None:
    web.routes["/"] = html("x")
    for _ in range(3):
        await client.get(f"{web.url}/")
    assert web.connections == 3


async def test_cancelling_a_request_closes_its_connection(
    client: GuardedClient, web: WebServer
) -> None:
    web.routes["/"] = Reply(itertools.repeat(b"x"), pause_s=0.05)
    call = asyncio.create_task(client.get(f"{web.url}/"))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await client.get(f"{web.url}/none")).status_code == 404


def test_the_usual_authorities_are_trusted_and_names_are_checked() -> None:
    tls = build_client(Policy()).guard.pools.tls
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert tls.check_hostname
