"""Answers as OpenAI writes them, with DeepSeek's usage fields."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from pydantic import JsonValue

from treadle.model_runtime.errors import RequestError
from treadle.model_runtime.request import Choice, FinishReason, Usage
from treadle.model_runtime.server.errors import error_body
from treadle.model_runtime.tokenizer import Tokenizer

KEEP_ALIVE_S = 15.0
DONE = b"data: [DONE]\n\n"
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
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


async def events(bodies: AsyncGenerator[JsonValue]) -> AsyncIterator[bytes]:
    """A whole stream: events, comments while nothing comes, an error's body, and the end mark."""
    async with aclosing(bodies):
        pending = asyncio.ensure_future(anext(bodies, None))
        try:
            while True:
                done, _ = await asyncio.wait([pending], timeout=KEEP_ALIVE_S)
                if not done:
                    yield b": keep-alive\n\n"
                    continue
                if (body := pending.result()) is None:
                    break
                yield event(body)
                pending = asyncio.ensure_future(anext(bodies, None))
        except RequestError as error:
            yield event(error_body(error))
        finally:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
    yield DONE
