"""`POST /v1/completions`: texts and tokens as they are, with echo and fill-in-the-middle."""

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import time

from pydantic import JsonValue

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.request import Choice, Progress, Request, Usage
from treadle.model_runtime.server.generation import (
    Caller,
    Served,
    limits_of,
    refuse_failed,
    requests_of,
    sampling_of,
)
from treadle.model_runtime.server.running import Running
from treadle.model_runtime.server.schemas import CompletionRequest
from treadle.model_runtime.server.wire import finish_name, usage_body
from treadle.model_runtime.tokenizer import Tokenizer

BAR = "\N{FULLWIDTH VERTICAL LINE}"
# Begin, hole and end of the text around a gap, as DeepSeek and as Qwen write them.
FILL_MARKS = (
    (f"<{BAR}fim▁begin{BAR}>", f"<{BAR}fim▁hole{BAR}>", f"<{BAR}fim▁end{BAR}>"),
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
)


@dataclass(slots=True)
class _Text:
    """One choice as it grows."""

    prompt: str
    text: str = ""
    choices: list[Choice] = field(default_factory=list[Choice])
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0))
    finish: str | None = None

    def take(self, progress: Progress) -> None:
        """Note how far it is."""
        self.usage, self.finish = progress.usage, finish_name(progress.finish)


@dataclass(frozen=True, slots=True)
class Completion:
    """One request, ready to run."""

    id: str
    created: int
    body: CompletionRequest
    served: Served
    requests: Sequence[Sequence[Request]]
    texts: Sequence[_Text]

    async def read(self) -> AsyncGenerator[Sequence[tuple[int, Progress]]]:
        """What came, noted in the texts, up to the end; nothing after a long silence."""
        with Running(self.served.service, self.requests, self.served.timing) as running:
            async for arrived in running.progress():
                for place, item in arrived:
                    refuse_failed(item, self.served)
                    self.texts[place].take(item)
                yield arrived

    async def respond(self) -> JsonValue:
        """The whole answer."""
        async with aclosing(self.read()) as reading:
            async for arrived in reading:
                for place, item in arrived:
                    self.texts[place].text += item.text
                    self.texts[place].choices += item.choices
        choices = [
            self._choice(index, self._echoed(text) + text.text, text.choices, text.finish)
            for index, text in enumerate(self.texts)
        ]
        return {**self._envelope(), "choices": choices, "usage": self._usage()}

    async def stream(self) -> AsyncGenerator[Sequence[JsonValue]]:
        """The chunks, with the prompt first if it is to be echoed."""
        if self.body.echo:
            yield [
                self._chunk(index, text.prompt, (), None) for index, text in enumerate(self.texts)
            ]
        async with aclosing(self.read()) as reading:
            async for arrived in reading:
                chunks = [
                    self._chunk(place, item.text, item.choices, finish_name(item.finish))
                    for place, item in arrived
                    if item.text or item.choices or item.finish
                ]
                if chunks or not arrived:
                    yield chunks
        if self.body.includes_usage:
            yield [{**self._envelope(), "choices": [], "usage": self._usage()}]

    def _echoed(self, text: _Text) -> str:
        return text.prompt if self.body.echo else ""

    def _chunk(
        self, index: int, text: str, choices: Sequence[Choice], finish: str | None
    ) -> JsonValue:
        return {**self._envelope(), "choices": [self._choice(index, text, choices, finish)]}

    def _choice(
        self, index: int, text: str, choices: Sequence[Choice], finish: str | None
    ) -> JsonValue:
        logprobs = None
        if self.body.logprobs is not None:
            logprobs = legacy_logprobs(self.served.checkpoint.tokenizer, choices)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}

    def _usage(self) -> JsonValue:
        return usage_body((text.usage for text in self.texts), answers=self.body.n)

    def _envelope(self) -> dict[str, JsonValue]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.served.checkpoint.name,
        }


def legacy_logprobs(tokenizer: Tokenizer, choices: Sequence[Choice]) -> JsonValue:
    """The old form: parallel lists, and the place of each token in the text."""
    texts = [_text_of(tokenizer, choice.token) for choice in choices]
    offsets = [sum(len(text) for text in texts[:number]) for number in range(len(texts))]
    return {
        "tokens": [*texts],
        "token_logprobs": [choice.logprob for choice in choices],
        "top_logprobs": [
            {_text_of(tokenizer, other.token): other.logprob for other in choice.likeliest}
            for choice in choices
        ],
        "text_offset": [*offsets],
    }


def _text_of(tokenizer: Tokenizer, token: int) -> str:
    return tokenizer.bytes_of(token).decode("utf-8", errors="replace")


def prepare_completion(body: CompletionRequest, served: Served, caller: Caller) -> Completion:
    """Encode the prompts; nothing has been computed yet.

    Raises:
        RequestError: The request cannot be served.
    """
    tokenizer = served.checkpoint.tokenizer
    if body.echo and body.logprobs is not None:
        raise BadRequest("log-probabilities of an echoed prompt are not computed", param="echo")
    if body.suffix is not None:
        prompts = [around(tokenizer, _only_text(body), body.suffix)]
    else:
        prompts = [_encoded(tokenizer, prompt) for prompt in _prompts(body)]
    name = f"cmpl-{secrets.token_hex(12)}"
    requests = requests_of(
        name,
        prompts,
        sampling_of(body, served, logprobs=body.logprobs),
        [
            limits_of(body, served, len(prompt), body.max_tokens or 16, caller=caller)
            for prompt in prompts
        ],
        answers=body.n,
        caller=caller,
    )
    texts = [_Text(tokenizer.decode(prompt)) for prompt in prompts for _ in range(body.n)]
    return Completion(name, int(time()), body, served, requests, texts)


def _prompts(body: CompletionRequest) -> Sequence[str | list[int]]:
    """One prompt or many, each a text or tokens."""
    prompt = body.prompt
    if isinstance(prompt, str):
        return [prompt]
    tokens = [item for item in prompt if isinstance(item, int)]
    if tokens:
        return [tokens]
    return [item for item in prompt if not isinstance(item, int)]


def _only_text(body: CompletionRequest) -> str:
    if not isinstance(body.prompt, str):
        raise BadRequest("with a suffix the prompt is one text", param="prompt")
    return body.prompt


def _encoded(tokenizer: Tokenizer, prompt: str | list[int]) -> list[int]:
    """The tokens; a completion's prompt is raw, so control tokens in it count."""
    tokens = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    if not tokens:
        raise BadRequest("the prompt is empty", param="prompt")
    if wrong := [token for token in tokens if not 0 <= token < tokenizer.size]:
        raise BadRequest(f"no token {wrong[0]}", param="prompt")
    return tokens


def around(tokenizer: Tokenizer, before: str, after: str) -> list[int]:
    """A prompt whose continuation stands between two texts.

    Source: DeepSeek-Coder, deepseek-ai/DeepSeek-Coder, README, code insertion.
    """
    for marks in FILL_MARKS:
        if all(tokenizer.id_of(mark) is not None for mark in marks):
            begin, hole, end = marks
            quoted = (tokenizer.quote(before), tokenizer.quote(after))
            return tokenizer.encode(f"{begin}{quoted[0]}{hole}{quoted[1]}{end}")
    raise BadRequest("this model has no tokens for filling a gap", param="suffix")
