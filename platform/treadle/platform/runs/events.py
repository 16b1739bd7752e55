"""A run's events as server-sent events: any process, any number of readers, from any position."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import datetime

from treadle.agents.values import JsonObject
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.broadcast import Listener
from treadle.platform.engine.hints import delta_channel
from treadle.platform.engine.ids import RunId
from treadle.platform.metrics.instruments import STREAMS
from treadle.platform.runs.feeds import Feeds
from treadle.platform.runs.views import LogRow, show_time

HEARTBEAT = ": still here\n\n"
HEARTBEAT_S = 15.0
DELTA = "step.delta"
_END = object()


def show_event(run: RunId, row: LogRow) -> str:
    """One event; its id is the place in the log to resume from."""
    body = _body(run, row.type, row.at)
    body |= {key: value for key, value in row.entry.items() if key not in {"t", "large", "extra"}}
    if "large" in row.entry:
        body["output"] = row.entry["large"]
    return f"id: {row.seq}\nevent: {row.type}\ndata: {json.dumps(body)}\n\n"


def show_delta(run: RunId, message: bytes) -> str:
    """A piece of a model's answer, as it is made; without an id, because it is kept nowhere."""
    delta: JsonObject = json.loads(message)
    at = datetime.fromisoformat(str(delta.pop("at")))
    body = _body(run, DELTA, at) | delta
    return f"event: {DELTA}\ndata: {json.dumps(body)}\n\n"


def _body(run: RunId, kind: str, at: datetime) -> JsonObject:
    """What every event has."""
    body: JsonObject = {"run": str(run), "type": kind, "at": show_time(at)}
    return body | {"node": None, "path": None, "item": None} if kind.startswith("step.") else body


async def stream_events(
    feeds: Feeds,
    listener: Listener | None,
    run: RunId,
    workspace: WorkspaceId,
    *,
    after: int,
    has_ended: bool,
) -> AsyncGenerator[str]:
    """Events after a place in the log, until the run's last; deltas and heartbeats in between."""
    pieces: asyncio.Queue[object] = asyncio.Queue(maxsize=1000)

    def hear(message: bytes) -> None:
        if not pieces.full():
            pieces.put_nowait(show_delta(run, message))

    async def follow() -> None:
        async for rows in feeds.follow(run, workspace, after=after, has_ended=has_ended):
            for row in rows:
                if row.is_event:
                    await pieces.put(show_event(run, row))
        await pieces.put(_END)

    following = asyncio.create_task(follow())
    STREAMS.inc()
    if listener is not None:
        await listener.join(delta_channel(run), hear)
    try:
        async for piece in _drain(pieces, following):
            yield piece
    finally:
        STREAMS.dec()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        if listener is not None:
            await listener.leave(delta_channel(run), hear)


async def _drain(
    pieces: "asyncio.Queue[object]", following: asyncio.Task[None]
) -> AsyncGenerator[str]:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                piece = await pieces.get()
        except TimeoutError:
            if following.done():
                return  # it failed: whoever reads resumes from where it was
            yield HEARTBEAT
            continue
        if piece is _END:
            return
        yield str(piece)
