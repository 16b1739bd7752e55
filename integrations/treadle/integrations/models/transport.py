"""HTTP for model calls, over aiohttp (docs/adr/0011); nothing else here knows it."""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from treadle.integrations.models.exchange import ExchangeFailed, Response

CONNECT_S = 5.0
_MOST_AT_ONCE = 1 << 20  # bytes


class Transport:
    """Posts, and keeps connections. Made on the running loop; close it at the end."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            # How many calls there are at a time is decided before.
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    @asynccontextmanager
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncGenerator[Response]:
        """Send a body; leaving before the end of the answer closes the connection.

        Raises:
            ExchangeFailed: It could not be sent, or the connection broke.
        """
        try:
            asked = self._session.post(
                url,
                # Of large bytes aiohttp warns, as it sends them in one go.
                data=body if len(body) <= _MOST_AT_ONCE else io.BytesIO(body),
                headers=headers,
                allow_redirects=False,  # a redirect would carry the key elsewhere
            )
            async with asked as answer:
                yield Response(answer.status, answer.headers, _pieces(answer))
        except aiohttp.ClientError as error:
            raise _failed(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.content.iter_any():
            yield piece
    except aiohttp.ClientError as error:
        raise _failed(error) from error


def _failed(error: aiohttp.ClientError) -> ExchangeFailed:
    is_unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return ExchangeFailed(str(error) or type(error).__name__, is_unsent=is_unsent)
