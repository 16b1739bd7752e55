"""Asks the endpoint behind this server, and reads its answers and its streams."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic

import httpx
from pydantic import JsonValue

from treadle.model_runtime.engines.translation import Body, refusal
from treadle.model_runtime.errors import DeadlineExceeded, Overloaded, RequestError, UpstreamFailed

CONNECT_S = 10
END = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Upstream:
    """An OpenAI-compatible endpoint.

    Attributes:
        kind: `vllm`, `sglang` or `remote`; each has words of its own.
        url: Up to and with `/v1`.
        model: Its name there.
    """

    kind: str
    url: str
    model: str
    key: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """With our key, never a client's."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(slots=True)
class Relay:
    """Passes requests on, as many at once as the server takes.

    Attributes:
        most: More requests than these get 429.
        timeout_s: The longest time for one request.
    """

    upstream: Upstream
    client: httpx.AsyncClient
    most: int
    timeout_s: float
    running: int = field(default=0, init=False)

    def check_room(self) -> None:
        """Raise `Overloaded` if too many are under way."""
        if self.running >= self.most:
            raise Overloaded(self.running)

    async def respond(self, path: str, body: Body) -> Body:
        """A whole answer.

        Raises:
            RequestError: The endpoint refuses, fails or takes too long.
        """
        try:
            async with asyncio.timeout(self.timeout_s), self._opened(path, body) as response:
                answer = _parsed(await response.aread())
        except TimeoutError as error:
            raise DeadlineExceeded(self.timeout_s) from error
        if not isinstance(answer, dict):
            raise UpstreamFailed("the endpoint behind this server answered with no JSON object")
        return answer

    async def stream(self, path: str, body: Body) -> AsyncGenerator[Body]:
        """The chunks of an answer; leaving early closes the connection, which ends the work.

        Raises:
            RequestError: The endpoint refuses, fails or takes too long.
        """
        deadline, ended = monotonic() + self.timeout_s, False
        async with self._opened(path, body) as response:
            async for data in _events(response.aiter_bytes()):
                if ended := data == END:
                    break
                # Not asyncio.timeout: a generator may be driven by one task after another.
                if monotonic() > deadline:
                    raise DeadlineExceeded(self.timeout_s)
                chunk = _parsed(data)
                if isinstance(chunk, dict) and "error" in chunk:
                    raise refusal(HTTPStatus.BAD_GATEWAY, chunk, {}, self.running)
                if isinstance(chunk, dict):
                    yield chunk
            if not ended:
                raise UpstreamFailed("the stream from the endpoint behind this server was cut")

    @asynccontextmanager
    async def _opened(self, path: str, body: Body) -> AsyncGenerator[httpx.Response]:
        """The endpoint's response, its status checked; counted while it lasts."""
        self.running += 1
        try:
            async with self.client.stream(
                "POST",
                self.upstream.url + path,
                json=body,
                headers=dict(self.upstream.headers),
                timeout=httpx.Timeout(self.timeout_s, connect=CONNECT_S),
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    raise await self._refusal(response)
                yield response
        except httpx.ReadTimeout as error:
            raise DeadlineExceeded(self.timeout_s) from error
        except httpx.HTTPError as error:
            raise UpstreamFailed(
                f"the endpoint behind this server cannot be reached: {type(error).__name__}"
            ) from error
        finally:
            self.running -= 1

    async def _refusal(self, response: httpx.Response) -> RequestError:
        try:
            found = _parsed(await response.aread())
        except UpstreamFailed:
            found = None  # a proxy's page; the status says enough
        return refusal(response.status_code, found, response.headers, self.running)


async def _events(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The data of each server-sent event; lines end at newlines alone, for texts hold others."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()


def _parsed(data: bytes) -> JsonValue:
    try:
        found: JsonValue = json.loads(data)
    except ValueError as error:
        raise UpstreamFailed("the endpoint behind this server answered with no JSON") from error
    return found
