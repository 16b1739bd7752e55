"""A relayed chat, read as our own engine's are: what `/v1/responses` is made of."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pydantic import JsonValue

from treadle.model_runtime.engines.translation import Body
from treadle.model_runtime.parse import (
    CallArguments,
    CallBegins,
    CallEnds,
    Content,
    Event,
    Reasoning,
)
from treadle.model_runtime.server.responses import Tokens


class RelayedSpoken:
    """The answer in an endpoint's chunks, which are in our words already."""

    def __init__(self, model: str, chunks: AsyncGenerator[Body]) -> None:
        self.model = model
        self.finish: str | None = None
        self.tokens = Tokens()
        self._chunks = chunks
        self._first: Body | None = None
        self._calls: list[int] = []  # those that have begun; the last one is open

    async def begin(self) -> None:
        """Wait for the first chunk: a refusal comes in its place, and keeps its status.

        Raises:
            RequestError: The endpoint refuses, fails or takes too long.
        """
        self._first = await anext(self._chunks, None)

    async def read(self) -> AsyncGenerator[Sequence[Event]]:
        """What is said, chunk by chunk."""
        async with aclosing(self._chunks) as chunks:
            if self._first is not None and (events := self._events(self._first)):
                yield events
            async for chunk in chunks:
                if events := self._events(chunk):
                    yield events
        if events := self._end_call():
            yield events

    def _events(self, chunk: Body) -> list[Event]:
        if isinstance(usage := chunk.get("usage"), dict):
            self.tokens = _tokens(usage)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return []
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finish = finish
        delta = choice.get("delta")
        return self._said(delta) if isinstance(delta, dict) else []

    def _said(self, delta: Body) -> list[Event]:
        found: list[Event] = []
        if isinstance(thought := delta.get("reasoning_content"), str) and thought:
            found.append(Reasoning(thought))
        if isinstance(text := delta.get("content"), str) and text:
            found.append(Content(text))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                found += self._called(call)
        return found

    def _called(self, call: Body) -> list[Event]:
        """A piece of a call; the one before it is whole when another begins."""
        found: list[Event] = []
        index = _count(call, "index")
        told = call.get("function")
        function = told if isinstance(told, dict) else {}
        if index not in self._calls:
            found += self._end_call()
            self._calls.append(index)
            given = call.get("id")
            begun = given if isinstance(given, str) else None
            found.append(CallBegins(index, str(function.get("name") or ""), begun))
        if isinstance(text := function.get("arguments"), str) and text:
            found.append(CallArguments(index, text))
        return found

    def _end_call(self) -> list[Event]:
        """An answer that was cut has no whole last call."""
        if not self._calls or self.finish == "length":
            return []
        return [CallEnds(self._calls[-1])]


def _tokens(usage: Body) -> Tokens:
    return Tokens(
        prompt=_count(usage, "prompt_tokens"),
        cached=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        completion=_count(usage, "completion_tokens"),
        reasoning=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(body: JsonValue, key: str) -> int:
    found = body.get(key) if isinstance(body, dict) else None
    return int(found) if isinstance(found, int | float) else 0
