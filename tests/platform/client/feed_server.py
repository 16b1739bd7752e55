"""A server of one run's events that breaks its answers off, as networks do."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

EVENTS: list[tuple[str, dict[str, str]]] = [
    ("run.queued", {}),
    ("run.started", {}),
    ("step.running", {"node": "greet", "path": "greet"}),
    ("step.succeeded", {"node": "greet", "path": "greet"}),
    ("run.succeeded", {}),
]


@dataclass
class FeedServer:
    """Breaks off after `breaks_after` events of each answer; remembers who resumed where."""

    breaks_after: int
    resumed_after: list[str | None] = field(default_factory=list[str | None])

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/runs/{run}/events", self.events),
                Route("/v1/runs/{run}", self.refuse),
                Route("/v1/strange", self.strange),
            ]
        )

    async def events(self, request: Request) -> Response:
        resumed = request.headers.get("last-event-id")
        self.resumed_after.append(resumed)
        return StreamingResponse(
            self._stream(int(resumed or 0), request.path_params["run"]),
            media_type="text/event-stream",
        )

    async def _stream(self, after: int, run: str) -> AsyncIterator[str]:
        yield ": hello\n\n"
        for sent, (number, (kind, more)) in enumerate(enumerate(EVENTS, 1)):
            if number <= after:
                continue
            if sent >= after + self.breaks_after:
                raise ConnectionResetError("broken off on purpose")
            body = {"run": run, "type": kind, "at": "2026-11-25T00:00:00Z", **more}
            yield f"id: {number}\nevent: {kind}\ndata: {json.dumps(body)}\n\n"
            if kind == "step.running":
                yield 'event: step.delta\ndata: {"type": "step.delta", "text": "hi"}\n\n'

    async def refuse(self, _: Request) -> Response:
        issue = {"severity": "error", "path": "inputs.a", "line": None, "column": None}
        return JSONResponse(
            {
                "title": "Unprocessable Entity",
                "code": "inputs_invalid",
                "detail": "invalid inputs",
                "issues": [{**issue, "message": "is required", "hint": None}],
            },
            status_code=422,
            media_type="application/problem+json",
        )

    async def strange(self, _: Request) -> Response:
        return Response("<html>", status_code=502)


@asynccontextmanager
async def serving(app: Starlette) -> AsyncGenerator[str]:
    """Serve an app on a free port of the loopback address; yields its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
