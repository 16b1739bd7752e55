"""Our API in front of another engine: the same keys, limits, errors and metrics."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from time import time

import httpx
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import JsonValue

from treadle.model_runtime.engines.counts import Counting, Counts
from treadle.model_runtime.engines.process import EngineProcess
from treadle.model_runtime.engines.pump import relayed
from treadle.model_runtime.engines.relay import Relay, Upstream
from treadle.model_runtime.engines.translation import answer_body, request_body
from treadle.model_runtime.errors import EngineFailed, EngineStarting, NotServed
from treadle.model_runtime.server.bodies import BodyLimit
from treadle.model_runtime.server.embeddings import Embedder, EmbeddingRequest
from treadle.model_runtime.server.errors import install_error_handlers
from treadle.model_runtime.server.exchange import owner_of, unless_gone
from treadle.model_runtime.server.schemas import ChatRequest, CompletionRequest

Give = Callable[[EngineFailed], None]


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """How the server meets its clients.

    Attributes:
        most: Requests under way at once; more get 429.
        timeout_s: The longest time for one request.
    """

    name: str
    keys: Sequence[str] = ()
    aliases: Sequence[str] = ()
    embedder: Embedder | None = None
    most: int = 288
    timeout_s: float = 600
    max_body_bytes: int = 32 * 1024 * 1024

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
    front = Front(relay, options, process)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncGenerator[None]:
        watching = None
        if process is not None:
            process.start()
            watching = asyncio.create_task(_report_failure(process, give_up))
        yield
        if process is not None and watching is not None:
            watching.cancel()
            await process.stop()
        await client.aclose()

    app = FastAPI(title="Treadle model runtime", lifespan=running, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=options.max_body_bytes)
    app.add_middleware(Counting, counts=front.counts)
    install_error_handlers(app)
    app.add_api_route("/healthz", front.healthz)
    app.add_api_route("/metrics", front.metrics_text)
    keyed = APIRouter(dependencies=[Depends(front.caller)])
    keyed.add_api_route("/v1/models", front.models)
    keyed.add_api_route("/v1/models/{name}", front.model)
    keyed.add_api_route("/v1/embeddings", front.embeddings, methods=["POST"])
    for prefix in ("/v1", "/beta"):
        keyed.add_api_route(f"{prefix}/chat/completions", front.chat, methods=["POST"])
        keyed.add_api_route(f"{prefix}/completions", front.completions, methods=["POST"])
    app.include_router(keyed)
    return app


@dataclass(frozen=True, slots=True)
class Front:
    """The endpoints."""

    relay: Relay
    options: FrontOptions
    process: EngineProcess | None
    counts: Counts = field(default_factory=Counts.new)
    started: int = field(default_factory=lambda: int(time()))

    def caller(self, request: Request) -> str:
        """Check the key."""
        return owner_of(request.headers.get("Authorization", ""), self.options.keys)

    async def healthz(self) -> JSONResponse:
        """Whether requests can be served."""
        self._check_ready()
        return JSONResponse({"status": "ok", "running": self.relay.running, "waiting": 0})

    async def metrics_text(self) -> Response:
        """Prometheus' text."""
        self.counts.running.set(self.relay.running)
        self.counts.restarts.set(self.process.restarts if self.process else 0)
        text = await self.counts.text(self.relay.upstream, self.relay.client)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def models(self) -> JSONResponse:
        """All names of the one model, and the encoder."""
        listed = [*self.options.names, *self._embedders]
        return JSONResponse({"object": "list", "data": [self._model(name) for name in listed]})

    async def model(self, name: str) -> JSONResponse:
        """One name."""
        if name not in self._embedders:
            self._check_name(name)
        return JSONResponse(self._model(name))

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        """Answer messages."""
        return await self._pass_on(body, request, "/chat/completions")

    async def completions(self, body: CompletionRequest, request: Request) -> Response:
        """Continue texts."""
        return await self._pass_on(body, request, "/completions")

    async def embeddings(self, body: EmbeddingRequest) -> JSONResponse:
        """Texts to vectors, by the encoder of this process."""
        if (embedder := self._embedders.get(body.model)) is None:
            raise NotServed(body.model, tuple(self._embedders))
        return JSONResponse(await embedder.answer(body))

    async def _pass_on(
        self, body: ChatRequest | CompletionRequest, request: Request, path: str
    ) -> Response:
        self._check_name(body.model)
        self._check_ready()
        self.relay.check_room()
        upstream = self.relay.upstream
        sent = request_body(body, model=upstream.model, kind=upstream.kind)
        if not body.stream:
            return await unless_gone(request, self._whole(path, sent))
        return await relayed(request, self._chunks(path, sent, usage=body.includes_usage))

    async def _whole(self, path: str, sent: dict[str, JsonValue]) -> JsonValue:
        return answer_body(await self.relay.respond(path, sent), name=self.options.name)

    async def _chunks(
        self, path: str, sent: dict[str, JsonValue], *, usage: bool
    ) -> AsyncGenerator[JsonValue]:
        """Chunks in our words; the one with the usage only if the client asked for it."""
        async with aclosing(self.counts.timed(self.relay.stream(path, sent))) as chunks:
            async for chunk in chunks:
                answer = answer_body(chunk, name=self.options.name)
                if not usage:
                    answer.pop("usage", None)
                if answer["choices"] or usage:
                    yield answer

    @property
    def _embedders(self) -> dict[str, Embedder]:
        found = self.options.embedder
        return {} if found is None else {found.name: found}

    def _check_name(self, name: str) -> None:
        if name not in self.options.names:
            raise NotServed(name, self.options.names)

    def _check_ready(self) -> None:
        if self.process is not None and not self.process.ready.is_set():
            raise EngineStarting

    def _model(self, name: str) -> JsonValue:
        return {"id": name, "object": "model", "created": self.started, "owned_by": "treadle"}


async def _report_failure(process: EngineProcess, give_up: Give | None) -> None:
    try:
        await process.finished()
    except EngineFailed as error:
        if give_up is not None:
            give_up(error)
