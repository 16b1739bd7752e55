"""The ASGI app: where the parts of a server meet."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import JsonValue

from treadle.model_runtime.errors import EngineStopped, NotServed
from treadle.model_runtime.grammar import GrammarCompiler
from treadle.model_runtime.server.bodies import BodyLimit
from treadle.model_runtime.server.chat import prepare_chat
from treadle.model_runtime.server.completions import prepare_completion
from treadle.model_runtime.server.constraints import Constraints
from treadle.model_runtime.server.embeddings import Embedder, EmbeddingRequest
from treadle.model_runtime.server.errors import install_error_handlers
from treadle.model_runtime.server.exchange import event_stream, owner_of, unless_gone
from treadle.model_runtime.server.generation import Caller, Served
from treadle.model_runtime.server.metrics import Metrics
from treadle.model_runtime.server.schemas import ChatRequest, CompletionRequest
from treadle.model_runtime.server.wire import events


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server meets its clients; without keys it answers everyone who can reach it.

    `aliases` are further names under which the model is served; `embedder` answers for vectors.
    """

    keys: Sequence[str] = ()
    aliases: Sequence[str] = ()
    embedder: Embedder | None = None
    max_body_bytes: int = 32 * 1024 * 1024


def create_app(served: Served, options: ServerOptions | None = None) -> FastAPI:
    """A server for one model; it starts and stops the engine's thread with itself."""
    options = options or ServerOptions()
    api = Api(served, options, Constraints(lambda: _compiler(served)), Metrics.of(served.service))

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncGenerator[None]:
        served.service.start()
        yield
        await served.service.stop()

    app = FastAPI(title="Treadle model runtime", lifespan=running, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=options.max_body_bytes)
    install_error_handlers(app)
    app.add_api_route("/healthz", api.healthz)
    app.add_api_route("/metrics", api.metrics_text)
    keyed = APIRouter(dependencies=[Depends(api.caller)])
    keyed.add_api_route("/v1/models", api.models)
    keyed.add_api_route("/v1/models/{name}", api.model)
    keyed.add_api_route("/v1/embeddings", api.embeddings, methods=["POST"])
    # DeepSeek serves what is in beta under a path of its own.
    for prefix in ("/v1", "/beta"):
        keyed.add_api_route(f"{prefix}/chat/completions", api.chat, methods=["POST"])
        keyed.add_api_route(f"{prefix}/completions", api.completions, methods=["POST"])
    app.include_router(keyed)
    return app


@dataclass(frozen=True, slots=True)
class Api:
    """The endpoints."""

    served: Served
    options: ServerOptions
    constraints: Constraints
    metrics: Metrics
    started: int = field(default_factory=lambda: int(time()))

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which the model is served."""
        return (self.served.checkpoint.name, *self.options.aliases)

    def caller(self, request: Request) -> Caller:
        """Check the key; its fingerprint is the owner of what it asks for."""
        return Caller(owner_of(request.headers.get("Authorization", ""), self.options.keys))

    async def healthz(self) -> JSONResponse:
        """Whether requests can be served."""
        if not self.served.service.alive:
            raise EngineStopped
        load = self.served.service.load()
        return JSONResponse({"status": "ok", "running": load.running, "waiting": load.waiting})

    async def metrics_text(self) -> Response:
        """Prometheus' text."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def models(self) -> JSONResponse:
        """All names of the one model, and the encoder."""
        listed = [*self.names, *self._embedders]
        return JSONResponse({"object": "list", "data": [self._model(name) for name in listed]})

    async def model(self, name: str) -> JSONResponse:
        """One name."""
        if name not in self._embedders:
            self._check(name)
        return JSONResponse(self._model(name))

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        """Answer messages."""
        self._check(body.model)
        self.served.service.check_room()
        prepared = await prepare_chat(body, self.served, self.caller(request), self.constraints)
        if body.stream:
            return event_stream(events(self.metrics.timed(prepared.stream())))
        return await unless_gone(request, prepared.respond())

    async def completions(self, body: CompletionRequest, request: Request) -> Response:
        """Continue texts."""
        self._check(body.model)
        self.served.service.check_room()
        prepared = prepare_completion(body, self.served, self.caller(request))
        if body.stream:
            return event_stream(events(self.metrics.timed(prepared.stream())))
        return await unless_gone(request, prepared.respond())

    async def embeddings(self, body: EmbeddingRequest) -> JSONResponse:
        """Texts to vectors."""
        if (embedder := self._embedders.get(body.model)) is None:
            raise NotServed(body.model, tuple(self._embedders))
        return JSONResponse(await embedder.answer(body))

    @property
    def _embedders(self) -> dict[str, Embedder]:
        found = self.options.embedder
        return {} if found is None else {found.name: found}

    def _check(self, name: str) -> None:
        if name not in self.names:
            raise NotServed(name, self.names)

    def _model(self, name: str) -> JsonValue:
        embedder = self._embedders.get(name)
        longest = self.served.service.longest if embedder is None else embedder.longest
        return {
            "id": name,
            "object": "model",
            "created": self.started,
            "owned_by": "treadle",
            "max_model_len": longest,
        }


def _compiler(served: Served) -> GrammarCompiler:
    tokenizer = served.checkpoint.tokenizer
    return GrammarCompiler(
        tokenizer.to_json(), vocabulary=tokenizer.size, end_tokens=sorted(tokenizer.end_tokens)
    )
