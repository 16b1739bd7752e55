"""Answers as OpenAI writes them, with DeepSeek's usage fields."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from pydantic import JsonValue

from treadle.model_runtime.errors import RequestError
from treadle.model_runtime.request import Choice, FinishReason, Usage
from treadle.model_runtime.server.errors import error_body
from treadle.model_runtime.tokenizer import Tokenizer

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.DEADLINE: "length",
    # These two reach no client.
    FinishReason.ERROR: "stop",
    FinishReason.CANCELLED: "stop",
}


def finish_name(reason: FinishReason | None, *, called: bool = False) -> str | None:
    """OpenAI's word; `tool_calls` only after a complete call."""
    if reason is None:
        return None
    if called and reason is FinishReason.STOP:
        return "tool_calls"
    return FINISH[reason]


def usage_body(usages: Iterable[Usage], *, answers: int, reasoning: int = 0) -> JsonValue:
    """All requests together; a prompt with several answers counts once."""
    listed = list(usages)
    prompts = listed[::answers]
    prompt = sum(usage.prompt for usage in prompts)
    cached = sum(usage.cached for usage in prompts)
    completion = sum(usage.completion for usage in listed)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        "prompt_cache_hit_tokens": cached,
        "prompt_cache_miss_tokens": prompt - cached,
    }


def chat_logprobs(tokenizer: Tokenizer, choices: Sequence[Choice]) -> list[JsonValue]:
    """One entry per token; `bytes` let a client put split characters together."""
    return [
        {
            **_token(tokenizer, choice.token, choice.logprob),
            "top_logprobs": [
                _token(tokenizer, other.token, other.logprob) for other in choice.likeliest
            ],
        }
        for choice in choices
    ]


def _token(tokenizer: Tokenizer, token: int, logprob: float | None) -> dict[str, JsonValue]:
    raw = tokenizer.bytes_of(token)
    return {
        "token": raw.decode("utf-8", errors="replace"),
        "logprob": logprob,
        "bytes": [*raw],
    }


def event(body: JsonValue) -> bytes:
    """One server-sent event."""
    return b"data: " + _encode(body).encode() + b"\n\n"


async def events(bodies: AsyncGenerator[Sequence[JsonValue]]) -> AsyncIterator[bytes]:
    """A whole stream: events, a comment where nothing came, an error's body, and the end mark."""
    async with aclosing(bodies):
        try:
            async for several in bodies:
                yield b"".join([event(body) for body in several]) or KEEP_ALIVE
        except RequestError as error:
            yield event(error_body(error))
    yield DONE


async def named_events(
    bodies: AsyncGenerator[Sequence[dict[str, JsonValue]]],
) -> AsyncIterator[bytes]:
    """A stream whose events have names, as responses have; it ends with its last event."""
    number = 0
    async with aclosing(bodies):
        try:
            async for several in bodies:
                yield b"".join([_named(body) for body in several]) or KEEP_ALIVE
                number += len(several)
        except RequestError as error:
            told = {"code": error.code, "message": error.message, "param": error.param}
            yield _named({"type": "error", "sequence_number": number, **told})


def _named(body: dict[str, JsonValue]) -> bytes:
    return f"event: {body['type']}\n".encode() + event(body)
