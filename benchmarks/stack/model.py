"""A model endpoint that answers at once, or after a pause that its base URL names.

`/v1` answers at once, `/lat/100/v1` after 100 ms. It parses no more than it must: what is measured
is the service, not this. `python model.py PORT`.
"""

import asyncio
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvloop

_BODY = (
    b'{"id":"x","object":"chat.completion","model":"instant","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}'
)
_STREAM = (
    b'data: {"id":"x","object":"chat.completion.chunk","model":"instant","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":"Hello."},"finish_reason":null}]}\n\n'
    b'data: {"id":"x","object":"chat.completion.chunk","model":"instant","choices":[{"index":0,'
    b'"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"x","object":"chat.completion.chunk","model":"instant","choices":[],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}\n\ndata: [DONE]\n\n'
)
_MODELS = b'{"object":"list","data":[{"id":"instant","object":"model"}]}'
_PAUSE = re.compile(rb" /lat/(\d+)/")


def _answer(body: bytes, media_type: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (media_type, len(body)) + body


_JSON = _answer(_BODY, b"application/json")
_EVENTS = _answer(_STREAM, b"text/event-stream")
_LIST = _answer(_MODELS, b"application/json")


class Endpoint(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer whatever is whole."""
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            at = head.lower().find(b"content-length:")
            length = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            body, self._buffer = rest[:length], rest[length:]
            self._say(head, body)

    def _say(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._transport.write(_LIST)
            return
        is_streamed = b'"stream":true' in body or b'"stream": true' in body
        answer = _EVENTS if is_streamed else _JSON
        pause = _PAUSE.search(head)
        if pause is None:
            self._transport.write(answer)
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(int(pause[1]) / 1000, self._answer, answer)

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():  # the load leaves in the middle
            self._transport.write(answer)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", port)
    await server.serve_forever()


@contextmanager
def endpoint(port: int) -> Iterator[tuple[str, int]]:
    """Run it as a process of its own; gives its address and its pid."""
    process = subprocess.Popen([sys.executable, __file__, str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/v1/models", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
