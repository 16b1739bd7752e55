"""The ASGI app: where the parts of a server meet."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import JsonValue

from treadle.model_runtime.errors import EngineStopped, NotServed
from treadle.model_runtime.grammar import GrammarCompiler
from treadle.model_runtime.kernels.report import report
from treadle.model_runtime.server.answering import Answering
from treadle.model_runtime.server.batch_api import BatchApi
from treadle.model_runtime.server.bodies import BodyLimit
from treadle.model_runtime.server.constraints import Constraints
from treadle.model_runtime.server.embeddings import Embedder, EmbeddingRequest
from treadle.model_runtime.server.errors import install_error_handlers
from treadle.model_runtime.server.exchange import event_stream, owner_of, unless_gone
from treadle.model_runtime.server.generation import Caller, Served
from treadle.model_runtime.server.metrics import Metrics
from treadle.model_runtime.server.observing import Observing
from treadle.model_runtime.server.responses import ResponseRequest
from treadle.model_runtime.server.schemas import ChatRequest, CompletionRequest
from treadle.model_runtime.server.tracing import Exporter
from treadle.model_runtime.server.wire import events, named_events


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server meets its clients; without keys it answers everyone who can reach it.

    Attributes:
        aliases: Further names under which the model is served.
        embedder: Answers for vectors.
        state: Folder of files and batches; without one they are not served.
        traces: Base URL of a collector of OpenTelemetry.
    """

    keys: Sequence[str] = ()
    aliases: Sequence[str] = ()
    embedder: Embedder | None = None
    state: Path | None = None
    traces: str | None = None
    max_body_bytes: int = 32 * 1024 * 1024
    max_file_bytes: int = 200 * 1024 * 1024


def create_app(served: Served, options: ServerOptions | None = None) -> FastAPI:
    """A server for one model; it starts and stops the engine's thread with itself."""
    options = options or ServerOptions()
    names = (served.checkpoint.name, *options.aliases)
    constraints = Constraints(lambda: _compiler(served))
    answering = Answering(served, names, options.embedder, constraints)
    api = Api(answering, options, Metrics(served))
    batches = None if options.state is None else BatchApi(options.state, answering, api.caller)
    exporter = None if options.traces is None else Exporter(options.traces)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncGenerator[None]:
        served.service.start()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(served.service.stop)
            if exporter is not None:
                exporter.start()
                stack.push_async_callback(exporter.stop)
            if batches is not None:
                batches.batching.start()
                stack.push_async_callback(batches.batching.stop)
            yield

    app = FastAPI(title="Treadle model runtime", lifespan=running, docs_url=None, redoc_url=None)
    app.add_middleware(
        BodyLimit, max_bytes=options.max_body_bytes, longer={"/v1/files": options.max_file_bytes}
    )
    app.add_middleware(Observing, count=api.metrics.count, exporter=exporter)
    install_error_handlers(app)
    app.add_api_route("/healthz", api.healthz)
    app.add_api_route("/metrics", api.metrics_text)
    app.include_router(_keyed_routes(api, batches))
    return app


def _keyed_routes(api: "Api", batches: BatchApi | None) -> APIRouter:
    keyed = APIRouter(dependencies=[Depends(api.check_key)])
    keyed.add_api_route("/v1/models", api.models)
    keyed.add_api_route("/v1/models/{name}", api.model)
    keyed.add_api_route("/v1/embeddings", api.embeddings, methods=["POST"])
    keyed.add_api_route("/v1/responses", api.responses, methods=["POST"])
    # DeepSeek serves what is in beta under a path of its own.
    for prefix in ("/v1", "/beta"):
        keyed.add_api_route(f"{prefix}/chat/completions", api.chat, methods=["POST"])
        keyed.add_api_route(f"{prefix}/completions", api.completions, methods=["POST"])
    if batches is not None:
        keyed.include_router(batches.routes())
    return keyed


@dataclass(frozen=True, slots=True)
class Api:
    """The endpoints that answer at once."""

    answering: Answering
    options: ServerOptions
    metrics: Metrics
    started: int = field(default_factory=lambda: int(time()))

    async def check_key(self, request: Request) -> None:
        """Refuse a request without one; async, for FastAPI runs what is not in a thread."""
        self.caller(request)

    def caller(self, request: Request) -> Caller:
        """Check the key; its fingerprint is the owner of what it asks for."""
        return Caller(owner_of(request.headers.get("Authorization", ""), self.options.keys))

    async def healthz(self) -> JSONResponse:
        """Whether requests can be served."""
        service = self.answering.served.service
        if not service.alive:
            raise EngineStopped
        load = service.load()
        serving = report(self.answering.served.checkpoint.model)
        return JSONResponse(
            {
                "status": "ok",
                "running": load.running,
                "waiting": load.waiting,
                "kernels": dict(serving),
            }
        )

    async def metrics_text(self) -> Response:
        """Prometheus' text."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def models(self) -> JSONResponse:
        """All names of the one model, and the encoder."""
        return JSONResponse({"object": "list", "data": [*self._models().values()]})

    async def model(self, name: str) -> JSONResponse:
        """One name."""
        found = self._models()
        if name not in found:
            raise NotServed(name, tuple(found))
        return JSONResponse(found[name])

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        """Answer messages."""
        prepared = await self.answering.chat(body, self.caller(request))
        if body.stream:
            return event_stream(events(prepared.stream()))
        return await unless_gone(request, prepared.respond())

    async def completions(self, body: CompletionRequest, request: Request) -> Response:
        """Continue texts."""
        prepared = await self.answering.completion(body, self.caller(request))
        if body.stream:
            return event_stream(events(prepared.stream()))
        return await unless_gone(request, prepared.respond())

    async def responses(self, body: ResponseRequest, request: Request) -> Response:
        """Answer items."""
        prepared = await self.answering.response(body, self.caller(request))
        if body.stream:
            return event_stream(named_events(prepared.stream()))
        return await unless_gone(request, prepared.respond())

    async def embeddings(self, body: EmbeddingRequest) -> JSONResponse:
        """Texts to vectors."""
        return JSONResponse(await self.answering.embeddings(body))

    def _models(self) -> dict[str, JsonValue]:
        served, embedder = self.answering.served, self.answering.embedder
        notice: dict[str, JsonValue] = {"notice": served.notice} if served.notice else {}
        found: dict[str, JsonValue] = {
            name: {**self._told(name, served.service.longest), **notice}
            for name in self.answering.names
        }
        if embedder is not None:
            found[embedder.name] = self._told(embedder.name, embedder.longest)
        return found

    def _told(self, name: str, longest: int) -> dict[str, JsonValue]:
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
