"""Reading one answer, whole or as a stream of events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from treadle.integrations.errors import ToolError
from treadle.integrations.models.calls import ToolCall
from treadle.integrations.models.exchange import ExchangeFailed, Response
from treadle.integrations.models.failures import Complaints
from treadle.integrations.models.sse import EndlessEvent, EventParser
from treadle.integrations.models.thinking import ThoughtSplitter
from treadle.integrations.models.tool_calls import CallCollector
from treadle.integrations.models.wire import WireAnswer, WireUsage

MAX_BODY = 8_000_000  # bytes of an answer that is not streamed
DONE = "[DONE]"
END_S = 0.2
"""How long the end of a stream may take after its last event."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said."""

    text: str
    reasoning: str | None
    finish_reason: str
    usage: WireUsage | None
    model: str | None
    tool_calls: tuple[ToolCall, ...] = ()


async def read_answer(
    response: Response, complaints: Complaints, on_delta: Callable[[str], None] | None
) -> Answer:
    """Read to the end; raises `ToolError` (upstream) for anything that is no answer."""
    if "text/event-stream" in response.headers.get("content-type", ""):
        return await _read_stream(response, complaints, on_delta)
    answer = _parse((await read_body(response, complaints)).decode(errors="replace"), complaints)
    collected = _Collected(complaints, on_delta)
    collected.take(answer)
    return collected.result()


async def read_body(response: Response, complaints: Complaints) -> bytes:
    """The body, bounded."""
    content = bytearray()
    async for piece in response.pieces:
        content += piece
        if len(content) > MAX_BODY:
            raise complaints.broken(f"answers with more than {MAX_BODY:,} bytes")
    return bytes(content)


async def _read_stream(
    response: Response, complaints: Complaints, on_delta: Callable[[str], None] | None
) -> Answer:
    collected = _Collected(complaints, on_delta)
    events = _events(response, complaints)
    async for event in events:
        if event.strip() == DONE:
            await _read_end(events)
            break
        collected.take(_parse(event, complaints))
    return collected.result()


async def _read_end(events: AsyncIterator[str]) -> None:
    """Read what follows the last event: a connection that is left before its end is closed."""
    with suppress(TimeoutError, ExchangeFailed, ToolError):
        async with asyncio.timeout(END_S):
            async for _ in events:
                break


async def _events(response: Response, complaints: Complaints) -> AsyncIterator[str]:
    parser = EventParser()
    try:
        async for chunk in response.pieces:
            for event in parser.feed(chunk):
                yield event
        for event in parser.finish():
            yield event
    except EndlessEvent as error:
        raise complaints.broken(f"sends {error}", code="model_bad_stream") from error


def _parse(text: str, complaints: Complaints) -> WireAnswer:
    try:
        answer = WireAnswer.model_validate_json(text.strip())
    except ValidationError as error:
        raise complaints.broken("answers with something else than the protocol's JSON") from error
    if answer.error is not None:
        raise complaints.reported(answer.error)
    return answer


class _Collected:
    """Puts the pieces together."""

    def __init__(self, complaints: Complaints, on_delta: Callable[[str], None] | None) -> None:
        self._complaints = complaints
        self._on_delta = on_delta
        self._splitter = ThoughtSplitter()
        self._finish_reason: str | None = None
        self._usage: WireUsage | None = None
        self._model: str | None = None
        self._calls = CallCollector()

    def take(self, answer: WireAnswer) -> None:
        self._usage = answer.usage or self._usage
        self._model = answer.model or self._model
        choice = answer.choice
        if choice is None:
            return
        self._splitter.reason(choice.text.thought)
        self._calls.take(choice.text.tool_calls or ())
        self._emit(self._splitter.feed(choice.text.content or ""))
        self._finish_reason = choice.finish_reason or self._finish_reason

    def result(self) -> Answer:
        """The answer; without a finish reason it was cut, and half an answer is none."""
        if self._finish_reason is None:
            raise self._complaints.broken(
                "stopped in the middle of an answer", code="model_cut_off"
            )
        self._emit(self._splitter.rest())
        text, reasoning = self._splitter.finish()
        calls = self._calls.result()
        return Answer(text, reasoning, self._finish_reason, self._usage, self._model, calls)

    def _emit(self, piece: str) -> None:
        if piece and self._on_delta is not None:
            self._on_delta(piece)
