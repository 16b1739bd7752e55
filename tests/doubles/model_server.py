"""A remote model: a real HTTP server that speaks the OpenAI protocol and fails as it is told.

```python
with ModelServer(says("Hello"), Fault.SILENCE) as server:   # then "Hello" again, for ever
    ...server.url, server.bodies
```
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

Json = dict[str, Any]  # Any: whatever a test wants on the wire


class Fault(Enum):
    """Ways to fail that are no answer of the protocol."""

    SILENCE = "accepts the request and says nothing"
    SILENCE_IN_STREAM = "begins a stream and says nothing more"
    HANG_UP = "closes the connection without a word"
    HALF_CLOSED = "ends a stream in the middle, without an end"
    BAD_JSON = "answers with something that is no JSON"
    ENDLESS_LINE = "sends one line of 10 MB"
    ERROR_IN_STREAM = "reports an error in the middle of a stream"


@dataclass(frozen=True)
class Says:
    """An answer. `pieces` are how it is cut when streamed."""

    pieces: tuple[str, ...]
    reasoning: str | None = None
    finish_reason: str = "stop"
    usage: Json | None = field(
        default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 5}
    )
    calls: tuple[tuple[str, str], ...] = ()
    """Tools it calls: name and arguments, as JSON or as the model got it wrong."""
    comments: bool = False
    """Sends keep-alive comments between events, as DeepSeek does."""
    has_end: bool = True
    """Whether `[DONE]` follows."""
    bytes_per_write: int | None = None
    """Cuts the stream into writes of so many bytes, characters in two."""
    is_kept: bool = False
    """Keeps the connection after a stream; the stream comes in chunks then."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Refuses:
    """An error status."""

    status: int
    message: str = "no"
    retry_after: str | None = None
    location: str | None = None


Turn = Says | Refuses | Fault | Callable[[Json], "Says | Refuses | Fault"]


def says(text: str, **changes: Any) -> Says:  # Any: the fields of `Says`
    """An answer, streamed word by word."""
    words = text.split(" ")
    pieces = tuple(word if index == 0 else f" {word}" for index, word in enumerate(words))
    return replace(Says(pieces), **changes)


class ModelServer:
    """Gives its turns in order and the last one for ever. `bodies` and `keys` are what came."""

    def __init__(self, *turns: Turn) -> None:
        self.turns: list[Turn] = list(turns or (says("Hello there."),))
        self.bodies: list[Json] = []
        self.keys: list[str | None] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.left = threading.Event()
        """Set when a client left during an answer."""
        self._lock = threading.Lock()
        self._server = _Listener(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True
        )

    @property
    def url(self) -> str:
        """The base URL: `http://127.0.0.1:…/v1`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def calls(self) -> int:
        """How many calls arrived."""
        return len(self.bodies)

    def note_connection(self) -> None:
        """Count a connection."""
        with self._lock:
            self.connections += 1

    def next_turn(self, body: Json, key: str | None) -> Says | Refuses | Fault:
        """Note a call and choose what it gets."""
        with self._lock:
            self.bodies.append(body)
            self.keys.append(key)
            turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        return turn if isinstance(turn, Says | Refuses | Fault) else turn(body)

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
    owner: ModelServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def owner(self) -> ModelServer:
        assert isinstance(self.server, _Listener)
        return self.server.owner

    @override
    def setup(self) -> None:
        super().setup()
        self.owner.note_connection()

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.send_json(200, {"object": "list", "data": [{"id": "double", "object": "model"}]})
        else:
            self.send_json(404, {"error": {"message": f"no {self.path}"}})

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        content = self.rfile.read(length)
        if len(content) < length:  # the caller died in the middle of its request
            self.close_connection = True
            return
        body: Json = json.loads(content)
        if self.path != "/v1/chat/completions":
            self.send_json(404, {"error": {"message": f"no {self.path}"}})
            return
        turn = self.owner.next_turn(body, self.headers.get("Authorization"))
        try:
            self.play(turn, body)
        except ConnectionError:
            self.owner.left.set()
            self.close_connection = True

    def play(self, turn: Says | Refuses | Fault, body: Json) -> None:
        match turn:
            case Says() if body.get("stream"):
                self.send_stream(turn, body)
            case Says():
                self.send_json(200, _whole(turn, body))
            case Refuses():
                told = {"Retry-After": turn.retry_after, "Location": turn.location}
                headers = {name: value for name, value in told.items() if value}
                error = {"message": turn.message, "type": "error", "code": str(turn.status)}
                self.send_json(turn.status, {"error": error}, headers)
            case Fault():
                self.fail(turn)

    def fail(self, fault: Fault) -> None:
        self.close_connection = True
        if fault is Fault.SILENCE:
            self.wait_for_goodbye()
        elif fault is Fault.BAD_JSON:
            self.send_raw(200, "application/json", b"<html>It works!</html>")
        elif fault is not Fault.HANG_UP:
            self.begin_stream()
            self.wfile.write(_event({"choices": [{"delta": {"content": "Half an"}}]}))
            self.wfile.flush()
            self.fail_in_stream(fault)

    def fail_in_stream(self, fault: Fault) -> None:
        if fault is Fault.SILENCE_IN_STREAM:
            self.wait_for_goodbye()
        elif fault is Fault.ENDLESS_LINE:
            self.wfile.write(b"data: ")
            for _ in range(160):
                self.wfile.write(b"x" * 65_536)
        elif fault is Fault.ERROR_IN_STREAM:
            self.wfile.write(_event({"error": {"message": "overloaded", "type": "server_error"}}))

    def wait_for_goodbye(self) -> None:
        """Say nothing until the client leaves or the server stops."""
        self.connection.settimeout(0.05)
        while not self.owner.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    self.owner.left.set()
                    return
            except TimeoutError:
                continue

    def send_stream(self, turn: Says, body: Json) -> None:
        self.begin_stream(is_kept=turn.is_kept)
        content = b"".join(_events(turn, body))
        size = turn.bytes_per_write or len(content)
        pieces = [content[start : start + size] for start in range(0, len(content), size)]
        if turn.is_kept:
            pieces = [b"%x\r\n%s\r\n" % (len(one), one) for one in (*pieces, b"")]
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()

    def begin_stream(self, *, is_kept: bool = False) -> None:
        self.close_connection = not is_kept
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        if is_kept:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_json(self, status: int, value: Json, headers: dict[str, str] | None = None) -> None:
        self.send_raw(status, "application/json", json.dumps(value).encode(), headers)

    def send_raw(
        self, status: int, kind: str, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def _whole(turn: Says, body: Json) -> Json:
    message: Json = {"role": "assistant", "content": turn.text}
    if turn.reasoning is not None:
        message["reasoning_content"] = turn.reasoning
    if turn.calls:
        message["tool_calls"] = [_call(turn, index) for index in range(len(turn.calls))]
    choice = {"index": 0, "message": message, "finish_reason": turn.finish_reason}
    return {"model": body.get("model"), "choices": [choice], "usage": turn.usage}


def _events(turn: Says, body: Json) -> Iterator[bytes]:
    deltas: Sequence[Json] = [{"content": piece} for piece in turn.pieces]
    if turn.reasoning is not None:
        deltas = [{"reasoning_content": turn.reasoning}, *deltas]
    deltas = [*deltas, *_call_deltas(turn)]
    for delta in deltas:
        if turn.comments:
            yield b": keep-alive\n\n"
        yield _event({"model": body.get("model"), "choices": [{"index": 0, "delta": delta}]})
    yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": turn.finish_reason}]})
    if turn.usage is not None:
        yield _event({"choices": [], "usage": turn.usage})
    if turn.has_end:
        yield b"data: [DONE]\n\n"


def _call(turn: Says, index: int) -> Json:
    name, arguments = turn.calls[index]
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"call_{name}_{index}", "type": "function", "function": function}


def _call_deltas(turn: Says) -> Iterator[Json]:
    """Each call in three pieces; those of several calls take turns, as some servers send them."""
    for index in range(len(turn.calls)):
        call = _call(turn, index)
        function: Json = call["function"]
        yield {"tool_calls": [call | {"function": function | {"arguments": ""}}]}
    halves = [(a[: len(a) // 2], a[len(a) // 2 :]) for _, a in turn.calls]
    for half in range(2):
        for index, pieces in enumerate(halves):
            piece: Json = {"index": index, "function": {"arguments": pieces[half]}}
            yield {"tool_calls": [piece]}


def _event(value: Json) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
