"""What those who run a server see: traces, counts, notices, and an end in good order."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.server.conftest import random_checkpoint, served
from tests.model_runtime.server.test_chat import HELLO, post
from typing_extensions import override

from treadle.model_runtime.server.app import ServerOptions
from treadle.model_runtime.server.wire import KEEP_ALIVE, events

TINY = Path(__file__).parents[3] / "model_runtime" / "training" / "tiny"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
Body = dict[str, JsonValue]


@contextmanager
def collector() -> Generator[tuple[str, "SimpleQueue[bytes]"]]:
    """A collector's base URL, and the exports that it got."""
    got: SimpleQueue[bytes] = SimpleQueue()

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_request_is_a_span_under_its_callers() -> None:
    with collector() as (url, got):
        async with served(random_checkpoint(), ServerOptions(traces=url)) as client:
            client.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
            assert (await post(client)).status_code == 200
            client.headers["traceparent"] = f"00-{TRACE}-{PARENT}-00"
            assert (await post(client)).status_code == 200
        (resource,) = json.loads(got.get(timeout=5))["resourceSpans"]
        assert got.empty()
    (span,) = resource["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["parentSpanId"]) == (TRACE, PARENT)
    assert span["name"] == "POST /v1/chat/completions"
    assert [event["name"] for event in span["events"]] == ["first_token"]
    told = {item["key"]: item["value"] for item in span["attributes"]}
    assert told["http.response.status_code"] == {"intValue": "200"}
    assert told["gen_ai.usage.output_tokens"] == {"intValue": "8"}
    assert int(span["startTimeUnixNano"]) < int(span["endTimeUnixNano"])


async def test_a_collector_that_is_away_holds_up_nobody() -> None:
    options = ServerOptions(traces="http://127.0.0.1:9")
    async with served(random_checkpoint(), options) as client:
        assert (await post(client)).status_code == 200


async def test_requests_are_counted_by_endpoint_and_status(client: httpx.AsyncClient) -> None:
    await post(client)
    await post(client, temperature=9)
    await client.get("/v1/made/up")
    text = (await client.get("/metrics")).text
    path = 'endpoint="/v1/chat/completions"'
    assert f'treadle_runtime_requests_total{{{path},status="200"}} 1.0' in text
    assert f'treadle_runtime_requests_total{{{path},status="400"}} 1.0' in text
    assert 'endpoint="unknown",status="404"' in text
    assert "made/up" not in text
    for name in ("cache_hit_ratio", "draft_acceptance_ratio", "requests_waiting"):
        assert f"treadle_runtime_{name} 0.0" in text


async def test_a_long_silence_is_filled_with_a_comment() -> None:
    async def bodies() -> AsyncGenerator[Sequence[JsonValue]]:
        yield [{"a": 1}, {"b": 2}]
        yield []

    told = [part async for part in events(bodies())]
    assert told == [b'data: {"a":1}\n\ndata: {"b":2}\n\n', KEEP_ALIVE, b"data: [DONE]\n\n"]


@pytest.mark.slow
def test_a_signal_lets_open_streams_finish(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "TREADLE_RUNTIME_STATE": str(tmp_path),
        "TREADLE_RUNTIME_THREADS": "1",
    }
    command = [sys.executable, "-m", "treadle.model_runtime", "serve", "--model", str(TINY)]
    with (
        subprocess.Popen([*command, "--port", str(port)], env=environment) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        try:
            _finish_after_a_signal(client, process)
        finally:
            process.kill()


def _finish_after_a_signal(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    _await_health(client, process)
    body: Body = {**HELLO, "model": "tiny", "max_tokens": 60, "ignore_eos": True}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = (line for line in response.iter_lines() if line)
        next(lines)
        process.send_signal(signal.SIGTERM)
        rest = list(lines)
    assert rest[-1] == "data: [DONE]"
    usage = json.loads(rest[-2].removeprefix("data: "))["usage"]
    assert usage["completion_tokens"] == 60
    # The server ends as the signal asks, once all is answered.
    assert process.wait(30) in {0, -signal.SIGTERM}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _await_health(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if client.get("/healthz").status_code == 200:
                return
        except httpx.ConnectError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")
