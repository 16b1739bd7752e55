"""From a client's request to requests of the engine, and their progress back in one stream."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

from treadle.model_runtime.checkpoint import Checkpoint
from treadle.model_runtime.errors import BadRequest, DeadlineExceeded, TooLong
from treadle.model_runtime.grammar import Grammar
from treadle.model_runtime.request import FinishReason, Limits, Progress, Request, Sampling
from treadle.model_runtime.server.schemas import Generation
from treadle.model_runtime.server.timing import Timing
from treadle.model_runtime.service import EngineService

SEEDS = 1 << 63
SEED_STRIDE = 0x9E3779B97F4A7C15  # apart, so that answers of one request share no noise


@dataclass(frozen=True, slots=True)
class Served:
    """A checkpoint and the engine that runs it.

    Attributes:
        timeout_s: A request that takes longer ends with what it has.
        default_tokens: The length of an answer when the client names none.
        notice: What people should know of the model before they believe it.
    """

    checkpoint: Checkpoint
    service: EngineService
    timeout_s: float = 600
    default_tokens: int | None = None
    notice: str = ""
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: requests wait in the owner's line and share cache blocks under the salt.

    Attributes:
        background: Nobody waits for the answer: it comes after all others', whenever that is.
    """

    owner: str = ""
    background: bool = False


def sampling_of(body: Generation, served: Served, *, logprobs: int | None) -> Sampling:
    """The client's values before those that the checkpoint suggests."""
    defaults = served.checkpoint.defaults

    def value(given: float | None, name: str, neutral: float) -> float:
        return given if given is not None else defaults.get(name, neutral)

    bias = body.logit_bias or {}
    if wrong := [token for token in bias if not 0 <= token < served.checkpoint.tokenizer.size]:
        raise BadRequest(f"no token {wrong[0]}", param="logit_bias")
    return Sampling(
        temperature=value(body.temperature, "temperature", 1),
        top_p=value(body.top_p, "top_p", 1),
        top_k=max(int(value(body.top_k, "top_k", 0)), 0),
        min_p=value(body.min_p, "min_p", 0),
        repetition_penalty=value(body.repetition_penalty, "repetition_penalty", 1),
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logit_bias=bias,
        seed=secrets.randbelow(SEEDS) if body.seed is None else body.seed % SEEDS,
        logprobs=logprobs,
    )


def limits_of(
    body: Generation, served: Served, prompt: int, max_tokens: int | None, *, caller: Caller
) -> Limits:
    """The client's limits within what fits behind a prompt of this length.

    Raises:
        TooLong: Nothing fits.
    """
    room = served.service.longest - prompt
    if room <= 0:
        raise TooLong(prompt, served.service.longest - 1)
    wanted = max_tokens if max_tokens is not None else (served.default_tokens or room)
    return Limits(
        max_tokens=min(wanted, room),
        stop=tuple(stop for stop in body.stop if stop),
        ignore_eos=body.ignore_eos,
        deadline=None if caller.background else monotonic() + served.timeout_s,
    )


def requests_of(
    name: str,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    limits: Sequence[Limits],
    *,
    answers: int,
    caller: Caller,
    grammar: Grammar | None = None,
) -> list[list[Request]]:
    """`answers` requests for each prompt, with seeds of their own."""
    return [
        [
            Request(
                id=f"{name}-{index * answers + number}",
                prompt=prompt,
                sampling=replace(sampling, seed=(sampling.seed + number * SEED_STRIDE) % SEEDS),
                limits=limit,
                owner=caller.owner,
                salt=caller.owner,
                background=caller.background,
                grammar=None if grammar is None else grammar.matcher(),
            )
            for number in range(answers)
        ]
        for index, (prompt, limit) in enumerate(zip(prompts, limits, strict=True))
    ]


def refuse_failed(progress: Progress, served: Served) -> None:
    """Some endings are errors, not answers.

    Raises:
        DeadlineExceeded: Its time was over before the first token.
        BadRequest: Its grammar became too costly.
    """
    if progress.finish is FinishReason.DEADLINE and not progress.usage.completion:
        raise DeadlineExceeded(served.timeout_s)
    if progress.finish is FinishReason.ERROR:
        raise BadRequest("the grammar became too costly to follow", code="grammar_too_costly")
