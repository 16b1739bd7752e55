"""What each endpoint answers, without HTTP: routes ask it, and so do batches."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from treadle.model_runtime.errors import NotServed
from treadle.model_runtime.server.chat import Chat, prepare_chat
from treadle.model_runtime.server.completions import Completion, prepare_completion
from treadle.model_runtime.server.constraints import Constraints
from treadle.model_runtime.server.embeddings import Embedder, EmbeddingRequest, embed
from treadle.model_runtime.server.errors import parsed
from treadle.model_runtime.server.generation import Caller, Served
from treadle.model_runtime.server.responses import Answered, ResponseRequest, prepare_response
from treadle.model_runtime.server.schemas import ChatRequest, CompletionRequest

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")


class Answerer(Protocol):
    """Whoever answers bodies by path: this process's engine, or one behind it."""

    async def by_path(self, path: str, body: JsonValue, caller: Caller) -> JsonValue:
        """As `Answering.by_path`."""
        ...


@dataclass(frozen=True, slots=True)
class Answering:
    """One model under its names, and an encoder beside it."""

    served: Served
    names: tuple[str, ...]
    embedder: Embedder | None
    constraints: Constraints

    async def chat(self, body: ChatRequest, caller: Caller) -> Chat:
        """Messages, ready to be answered; raises `RequestError` if they cannot be."""
        self.check(body.model)
        self.served.service.check_room()
        return await prepare_chat(body, self.served, caller, self.constraints)

    async def completion(self, body: CompletionRequest, caller: Caller) -> Completion:
        """Texts, ready to be continued; raises `RequestError` if they cannot be."""
        self.check(body.model)
        self.served.service.check_room()
        return prepare_completion(body, self.served, caller)

    async def response(self, body: ResponseRequest, caller: Caller) -> Answered:
        """Items, ready to be answered; raises `RequestError` if they cannot be."""
        self.check(body.model)
        self.served.service.check_room()
        return await prepare_response(body, self.served, caller, self.constraints)

    async def embeddings(self, body: EmbeddingRequest) -> JsonValue:
        """Texts to vectors; raises `RequestError` if the encoder is another."""
        return await embed(self.embedder, body)

    async def by_path(self, path: str, body: JsonValue, caller: Caller) -> JsonValue:
        """The whole answer of one of `PATHS`.

        Raises:
            RequestError: The body is wrong, or cannot be served.
        """
        match path:
            case "/v1/chat/completions":
                return await (await self.chat(parsed(ChatRequest, body), caller)).respond()
            case "/v1/completions":
                found = await self.completion(parsed(CompletionRequest, body), caller)
                return await found.respond()
            case "/v1/responses":
                return await (await self.response(parsed(ResponseRequest, body), caller)).respond()
            case _:
                return await self.embeddings(parsed(EmbeddingRequest, body))

    def check(self, name: str) -> None:
        """Raise `NotServed` for another model's name."""
        if name not in self.names:
            raise NotServed(name, self.names)
