"""A small random model behind an engine, and the double of a tokenizer."""

from collections.abc import Iterable, Sequence

import torch
from pydantic import JsonValue
from tests.model_runtime.mtp_reference import MtpReference
from tests.model_runtime.shapes import fields, reference, tokens_of

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import Decoder
from treadle.model_runtime.request import Limits, Progress, Request, Sampling

VOCABULARY = 97
SMALL: dict[str, JsonValue] = {"num_hidden_layers": 2, "vocab_size": VOCABULARY}
OPTIONS = EngineOptions(blocks=256, block_size=8, step_tokens=64, running=32)
GREEDY = Sampling(temperature=0)


class Letters:
    """Every token is one character; it stands in for a real tokenizer where text is no matter."""

    def __init__(self, size: int = VOCABULARY, end_tokens: Iterable[int] = ()) -> None:
        self.size, self.end_tokens = size, frozenset(end_tokens)

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(33 + token) for token in tokens)


def small_model(*, dtype: torch.dtype = torch.float32, **changes: JsonValue) -> Decoder:
    """Two layers of the architecture with random weights, and one MTP module."""
    shape = {**SMALL, **changes}
    config = fields("plain", **shape, num_nextn_predict_layers=1)
    theirs = MtpReference.random(reference(fields("plain", **shape)), depth=1)
    stored = {name: tensor.to(dtype) for name, tensor in theirs.stored().items()}
    return load_model(MemoryArchive(stored), parse_config(config))


def request(
    name: str,
    prompt: Sequence[int] | None = None,
    *,
    sampling: Sampling = GREEDY,
    max_tokens: int = 12,
) -> Request:
    """A request for a random prompt of its own."""
    tokens = prompt or tokens_of(VOCABULARY, 30, seed=sum(name.encode()))
    return Request(name, tokens, sampling, Limits(max_tokens=max_tokens))


def run(engine: Engine, requests: Iterable[Request], *, steps: int = 2_000) -> dict[str, list[int]]:
    """Serve all requests at once; the tokens of each answer."""
    for item in requests:
        engine.submit(item)
    return tokens_by_id(drain(engine, steps=steps))


def drain(engine: Engine, *, steps: int = 2_000) -> list[Progress]:
    """Step until nothing is left."""
    progress: list[Progress] = []
    for _ in range(steps):
        if engine.idle:
            return progress
        progress += engine.step()
    raise AssertionError(f"not idle after {steps} steps")


def tokens_by_id(progress: Iterable[Progress]) -> dict[str, list[int]]:
    answers: dict[str, list[int]] = {}
    for item in progress:
        answers.setdefault(item.id, []).extend(choice.token for choice in item.choices)
    return answers
