"""A real HTTP server on loopback whose answers a test writes down; it counts who came."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer. `body` may be pieces, sent one by one until the reader leaves."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content_type: str = "text/html; charset=utf-8"
    pause_s: float = 0
    """Before every piece."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    hangs_up: bool = False
    """Close the connection without an answer."""


Route = Reply | Callable[[Asked], Reply]


def redirect(location: str, status: int = 302) -> Reply:
    """A redirect."""
    return Reply(status=status, headers={"Location": location})


def html(text: str) -> Reply:
    """A page."""
    return Reply(text.encode())


class WebServer:
    """Serves `routes` by path on a free port of 127.0.0.1; anything else is 404."""

    def __init__(self, routes: Mapping[str, Route] | None = None) -> None:
        self.routes: dict[str, Route] = dict(routes or {})
        self.asked: list[Asked] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._server = _Listener(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """Which paths were asked for, in order."""
        return [asked.path for asked in self.asked]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    owner: WebServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def owner(self) -> WebServer:
        assert isinstance(self.server, _Listener)
        return self.server.owner

    @override
    def setup(self) -> None:
        self.owner.connections += 1
        super().setup()

    @override
    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError):
            self.close_connection = True

    def answer(self) -> None:
        url = urlsplit(self.path)
        asked = Asked(
            self.command,
            url.path,
            parse_qs(url.query),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        self.owner.asked.append(asked)
        route = self.owner.routes.get(url.path, Reply(b"not found", status=404))
        self.write(route if isinstance(route, Reply) else route(asked))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def write(self, reply: Reply) -> None:
        self.close_connection = True
        if reply.hangs_up:
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.write_body(reply)

    def write_body(self, reply: Reply) -> None:
        pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
        for piece in pieces:
            if reply.pause_s and self.owner.stopping.wait(reply.pause_s):
                return
            self.wfile.write(piece[: reply.cut_after])
            self.wfile.flush()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def wait_until(fact: Callable[[], bool], *, seconds: float = 30) -> bool:
    """Whether a fact about a server thread comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if fact():
            return True
        time.sleep(0.01)
    return fact()
