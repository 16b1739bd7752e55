"""One request and its answer, whatever the answer is made of: keys, streams, clients that leave."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Coroutine, Sequence

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import JsonValue

from treadle.model_runtime.errors import Unauthorised

CLIENT_LEFT = 499  # nginx's number; nobody receives it


def event_stream(chunks: AsyncIterator[bytes]) -> StreamingResponse:
    """Server-sent events, neither cached nor held back on the way."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(chunks, media_type="text/event-stream", headers=headers)


async def unless_gone(request: Request, answering: Coroutine[None, None, JsonValue]) -> Response:
    """The answer; if the client leaves first, the work is cancelled and its blocks are free."""
    answer = asyncio.create_task(answering)
    gone = asyncio.create_task(disconnected(request))
    try:
        await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
        return JSONResponse(await answer) if answer.done() else Response(status_code=CLIENT_LEFT)
    finally:
        answer.cancel()
        gone.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def disconnected(request: Request) -> None:
    """Wait until the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def owner_of(header: str, keys: Sequence[str]) -> str:
    """A fingerprint of the key that was sent.

    Raises:
        Unauthorised: Keys are set, and this is none of them.
    """
    if not keys:
        return ""
    kind, _, sent = header.partition(" ")
    matches = [hmac.compare_digest(sent.strip().encode(), key.encode()) for key in keys]
    if kind.lower() != "bearer" or not any(matches):
        raise Unauthorised
    return hashlib.blake2b(sent.strip().encode(), digest_size=8).hexdigest()
