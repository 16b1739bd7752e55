"""Our API in front of another engine: the same keys, limits, errors and metrics."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import httpx
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import JsonValue

from treadle.model_runtime.engines.counts import Counting, Counts
from treadle.model_runtime.engines.process import EngineProcess
from treadle.model_runtime.engines.pump import relayed
from treadle.model_runtime.engines.relay import Relay, Upstream
from treadle.model_runtime.engines.relaying import Relaying
from treadle.model_runtime.errors import EngineFailed
from treadle.model_runtime.server.batch_api import BatchApi
from treadle.model_runtime.server.bodies import BodyLimit
from treadle.model_runtime.server.embeddings import Embedder, EmbeddingRequest
from treadle.model_runtime.server.errors import install_error_handlers
from treadle.model_runtime.server.exchange import event_stream, owner_of, unless_gone
from treadle.model_runtime.server.generation import Caller
from treadle.model_runtime.server.observing import Observing
from treadle.model_runtime.server.responses import ResponseRequest
from treadle.model_runtime.server.schemas import ChatRequest, CompletionRequest
from treadle.model_runtime.server.tracing import Exporter
from treadle.model_runtime.server.wire import named_events

Give = Callable[[EngineFailed], None]


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """How the server meets its clients.

    Attributes:
        most: Requests under way at once; more get 429.
        timeout_s: The longest time for one request.
        state: Folder of files and batches; without one they are not served.
        traces: Base URL of a collector of OpenTelemetry.
    """

    name: str
    keys: Sequence[str] = ()
    aliases: Sequence[str] = ()
    embedder: Embedder | None = None
    most: int = 288
    timeout_s: float = 600
    state: Path | None = None
    traces: str | None = None
    max_body_bytes: int = 32 * 1024 * 1024
    max_file_bytes: int = 200 * 1024 * 1024

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which the model is served."""
        return (self.name, *self.aliases)


def create_front(
    upstream: Upstream,
    options: FrontOptions,
    *,
    client: httpx.AsyncClient,
    process: EngineProcess | None = None,
    give_up: Give | None = None,
) -> FastAPI:
    """The app; it starts and stops the engine's process, if that is ours, with itself.

    `give_up` is told when the engine has failed too often to be started again.
    """
    relay = Relay(upstream, client, options.most, options.timeout_s)
    relaying = Relaying(relay, options.names, options.embedder, process, Counts.new())
    front = Front(relaying, options)
    batches = None if options.state is None else BatchApi(options.state, relaying, front.caller)
    exporter = None if options.traces is None else Exporter(options.traces)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(client.aclose)
            if exporter is not None:
                exporter.start()
                stack.push_async_callback(exporter.stop)
            if process is not None:
                process.start()
                stack.push_async_callback(process.stop)
                watching = asyncio.create_task(_report_failure(process, give_up))
                stack.callback(watching.cancel)
            if batches is not None:
                batches.batching.start()
                stack.push_async_callback(batches.batching.stop)
            yield

    app = FastAPI(title="Treadle model runtime", lifespan=running, docs_url=None, redoc_url=None)
    app.add_middleware(
        BodyLimit, max_bytes=options.max_body_bytes, longer={"/v1/files": options.max_file_bytes}
    )
    app.add_middleware(Counting, counts=relaying.counts)
    if exporter is not None:
        app.add_middleware(Observing, count=_uncounted, exporter=exporter)
    install_error_handlers(app)
    app.add_api_route("/healthz", front.healthz)
    app.add_api_route("/metrics", front.metrics_text)
    keyed = APIRouter(dependencies=[Depends(front.check_key)])
    keyed.add_api_route("/v1/models", front.models)
    keyed.add_api_route("/v1/models/{name}", front.model)
    keyed.add_api_route("/v1/embeddings", front.embeddings, methods=["POST"])
    keyed.add_api_route("/v1/responses", front.responses, methods=["POST"])
    for prefix in ("/v1", "/beta"):
        keyed.add_api_route(f"{prefix}/chat/completions", front.chat, methods=["POST"])
        keyed.add_api_route(f"{prefix}/completions", front.completions, methods=["POST"])
    if batches is not None:
        keyed.include_router(batches.routes())
    app.include_router(keyed)
    return app


@dataclass(frozen=True, slots=True)
class Front:
    """The endpoints."""

    relaying: Relaying
    options: FrontOptions
    started: int = field(default_factory=lambda: int(time()))

    async def check_key(self, request: Request) -> None:
        """Refuse a request without one; async, for FastAPI runs what is not in a thread."""
        self.caller(request)

    def caller(self, request: Request) -> Caller:
        """Check the key; its fingerprint is the owner of files and batches."""
        return Caller(owner_of(request.headers.get("Authorization", ""), self.options.keys))

    async def healthz(self) -> JSONResponse:
        """Whether requests can be served."""
        self.relaying.check_ready()
        return JSONResponse({"status": "ok", "running": self.relaying.relay.running, "waiting": 0})

    async def metrics_text(self) -> Response:
        """Prometheus' text."""
        relaying = self.relaying
        relaying.counts.running.set(relaying.relay.running)
        relaying.counts.restarts.set(relaying.process.restarts if relaying.process else 0)
        text = await relaying.counts.text(relaying.relay.upstream, relaying.relay.client)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def models(self) -> JSONResponse:
        """All names of the one model, and the encoder."""
        listed = [*self.options.names, *self._embedders]
        return JSONResponse({"object": "list", "data": [self._model(name) for name in listed]})

    async def model(self, name: str) -> JSONResponse:
        """One name."""
        if name not in self._embedders:
            self.relaying.check(name)
        return JSONResponse(self._model(name))

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        """Answer messages."""
        return await self._pass_on(body, request)

    async def completions(self, body: CompletionRequest, request: Request) -> Response:
        """Continue texts."""
        return await self._pass_on(body, request)

    async def responses(self, body: ResponseRequest, request: Request) -> Response:
        """Answer items."""
        if not body.stream:
            return await unless_gone(request, self._responded(body))
        found = await self.relaying.response(body)
        return event_stream(named_events(found.stream()))

    async def embeddings(self, body: EmbeddingRequest) -> JSONResponse:
        """Texts to vectors, by the encoder of this process."""
        return JSONResponse(await self.relaying.embeddings(body))

    async def _responded(self, body: ResponseRequest) -> JsonValue:
        return await (await self.relaying.response(body)).respond()

    async def _pass_on(self, body: ChatRequest | CompletionRequest, request: Request) -> Response:
        if not body.stream:
            return await unless_gone(request, self.relaying.whole(body))
        return await relayed(request, self.relaying.chunks(body, usage=body.includes_usage))

    @property
    def _embedders(self) -> tuple[str, ...]:
        found = self.options.embedder
        return () if found is None else (found.name,)

    def _model(self, name: str) -> JsonValue:
        return {"id": name, "object": "model", "created": self.started, "owned_by": "treadle"}


async def _report_failure(process: EngineProcess, give_up: Give | None) -> None:
    try:
        await process.finished()
    except EngineFailed as error:
        if give_up is not None:
            give_up(error)


def _uncounted(_route: str, _status: int) -> None:
    """Requests are counted by `Counting`."""
