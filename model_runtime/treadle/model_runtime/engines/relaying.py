"""What each endpoint answers when another engine works behind it; batches ask it, too."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from pydantic import JsonValue

from treadle.model_runtime.engines.counts import Counts
from treadle.model_runtime.engines.process import EngineProcess
from treadle.model_runtime.engines.relay import Relay
from treadle.model_runtime.engines.spoken import RelayedSpoken
from treadle.model_runtime.engines.translation import Body, answer_body, request_body
from treadle.model_runtime.errors import EngineStarting, NotServed, UpstreamFailed
from treadle.model_runtime.server.embeddings import Embedder, EmbeddingRequest, embed
from treadle.model_runtime.server.errors import parsed
from treadle.model_runtime.server.generation import Caller
from treadle.model_runtime.server.responses import Answered, ResponseRequest, answered, chat_of
from treadle.model_runtime.server.schemas import ChatRequest, CompletionRequest
from treadle.model_runtime.server.tracing import present

Asked = ChatRequest | CompletionRequest
PATHS = {ChatRequest: "/chat/completions", CompletionRequest: "/completions"}


@dataclass(frozen=True, slots=True)
class Relaying:
    """One endpoint's model under our names, and an encoder beside it."""

    relay: Relay
    names: tuple[str, ...]
    embedder: Embedder | None
    process: EngineProcess | None
    counts: Counts

    async def whole(self, body: Asked) -> JsonValue:
        """A whole answer; raises `RequestError`."""
        sent = self._sent(body)
        answer = answer_body(await self.relay.respond(PATHS[type(body)], sent), name=self.names[0])
        _note_usage(answer)
        return answer

    def chunks(self, body: Asked, *, usage: bool) -> AsyncGenerator[Body]:
        """Chunks in our words; the one with the usage only if it is wanted.

        Raises:
            RequestError: At once if it cannot be sent; while it is read, of the endpoint.
        """
        return self._chunks(PATHS[type(body)], self._sent(body), usage=usage)

    async def response(self, body: ResponseRequest) -> Answered:
        """Items, with the first words of the answer there; raises `RequestError`."""
        asked = chat_of(body).model_copy(update={"stream": True})
        self.check(body.model)
        spoken = RelayedSpoken(self.names[0], self.chunks(asked, usage=True))
        await spoken.begin()
        return answered(body, spoken)

    async def embeddings(self, body: EmbeddingRequest) -> JsonValue:
        """Texts to vectors, by the encoder of this process."""
        return await embed(self.embedder, body)

    async def by_path(self, path: str, body: JsonValue, caller: Caller) -> JsonValue:
        """The whole answer of a path; nobody waits for it, so an engine that is away is waited for.

        Raises:
            RequestError: The body is wrong, or cannot be served.
        """
        del caller  # the engine knows one queue
        while True:
            if self.process is not None:
                await self.process.ready.wait()
            try:
                return await self._by_path(path, body)
            except EngineStarting:
                continue
            except UpstreamFailed:
                # It was sent to an engine that ended: the next one is asked again.
                if self.process is None or self.process.ready.is_set():
                    raise

    async def _by_path(self, path: str, body: JsonValue) -> JsonValue:
        match path:
            case "/v1/chat/completions":
                return await self.whole(_unstreamed(parsed(ChatRequest, body)))
            case "/v1/completions":
                return await self.whole(_unstreamed(parsed(CompletionRequest, body)))
            case "/v1/responses":
                return await (await self.response(parsed(ResponseRequest, body))).respond()
            case _:
                return await self.embeddings(parsed(EmbeddingRequest, body))

    def check(self, name: str) -> None:
        """Raise `NotServed` for another model's name."""
        if name not in self.names:
            raise NotServed(name, self.names)

    def check_ready(self) -> None:
        """Raise `EngineStarting` while there is none."""
        if self.process is not None and not self.process.ready.is_set():
            raise EngineStarting

    def _sent(self, body: Asked) -> Body:
        self.check(body.model)
        self.check_ready()
        self.relay.check_room()
        upstream = self.relay.upstream
        return request_body(body, model=upstream.model, kind=upstream.kind)

    async def _chunks(self, path: str, sent: Body, *, usage: bool) -> AsyncGenerator[Body]:
        began = False
        async with aclosing(self.counts.timed(self.relay.stream(path, sent))) as chunks:
            async for chunk in chunks:
                if not began and (span := present.get()) is not None:
                    span.mark("first_token")
                began = True
                answer = answer_body(chunk, name=self.names[0])
                _note_usage(answer)
                if not usage:
                    answer.pop("usage", None)
                if answer["choices"] or usage:
                    yield answer


def _unstreamed(body: Asked) -> Asked:
    """A batch's answers are whole, whatever its lines say."""
    return body.model_copy(update={"stream": False}) if body.stream else body


def _note_usage(answer: Body) -> None:
    """What it took, in the request's span."""
    span, usage = present.get(), answer.get("usage")
    if span is None or not isinstance(usage, dict):
        return
    details = usage["prompt_tokens_details"]
    cached = details["cached_tokens"] if isinstance(details, dict) else 0
    for name, value in (
        ("input", usage["prompt_tokens"]),
        ("output", usage["completion_tokens"]),
        ("cached", cached),
    ):
        if isinstance(value, int):
            span.note(f"gen_ai.usage.{name}_tokens", value)
