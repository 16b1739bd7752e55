"""Run by the tests as one rank of several: serves the same requests, writes what rank 0 answers.

python -m tests.model_runtime.shared_run RANK SIZE MEETING_PORT FAMILY OUTPUT
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import JsonValue
from tests.model_runtime.mtp_reference import MtpReference
from tests.model_runtime.serving import GREEDY, OPTIONS, SMALL, Letters, drain, request
from tests.model_runtime.shapes import fields, perturb, reference, tokens_of
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.engine import Engine
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import Decoder
from treadle.model_runtime.ranks import LeadingModel, ProcessRanks, follow, join
from treadle.model_runtime.request import Request, Sampling
from treadle.model_runtime.sharding import sharded_builder
from treadle.model_runtime.speculate import Speculation

SEEDED = Sampling(temperature=0.8, top_p=0.95, seed=11, logprobs=2)
PROBED = replace(GREEDY, logprobs=2)
LLAMA: dict[str, JsonValue] = {
    "model_type": "llama",
    "vocab_size": 98,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "attention_bias": True,
}
PROMPT = tokens_of(97, 60)


def stored_model(family: str) -> tuple[dict[str, Tensor], dict[str, JsonValue]]:
    """A checkpoint and its config; the vocabulary is even, so that the head can be cut."""
    if family == "llama":
        torch.manual_seed(0)
        theirs = LlamaForCausalLM(LlamaConfig.from_dict({**LLAMA, "initializer_range": 0.2}))
        perturb(theirs)
        return theirs.state_dict(), LLAMA
    changes: dict[str, JsonValue] = {**SMALL, "vocab_size": 98, "n_shared_experts": 2}
    if family == "biased":
        changes |= {"attention_bias": True, "first_k_dense_replace": 0, "q_lora_rank": None}
    shape = fields("plain", **changes)
    return MtpReference.random(reference(shape), depth=1).stored(), {
        **shape,
        "num_nextn_predict_layers": 1,
    }


def requests() -> list[Request]:
    kinds = (PROBED, SEEDED)
    return [request(f"r{number}", sampling=kinds[number % 2]) for number in range(6)]


def answered(model: Decoder, speculation: Speculation) -> dict[str, JsonValue]:
    """Tokens and, where the choice was greedy, the gap to the second best."""
    engine = Engine(model, replace(OPTIONS, speculation=speculation), tokenizer=Letters(98))
    for item in requests():
        engine.submit(item)
    tokens: dict[str, list[int]] = {}
    gaps: list[float] = []
    for part in drain(engine):
        for choice in part.choices:
            tokens.setdefault(part.id, []).append(choice.token)
            first, second = choice.likeliest[:2]
            gaps.append(first.logprob - second.logprob)
    return {
        "tokens": {name: [*found] for name, found in tokens.items()},
        "gap": min(gaps),
        "accepted": engine.counts.accepted,
    }


def logits(model: Decoder) -> list[list[float]]:
    """Of every position of one prompt, read in chunks."""
    slots = list(range(len(PROMPT)))
    cache = torch.zeros(model.cache_layers, len(PROMPT), model.cache_width)
    found: list[Tensor] = []
    with torch.inference_mode():
        for start, end in ((0, 40), (40, 41), (41, 60)):
            batch = lay_out([Span(PROMPT[start:end], start, slots)])
            found.append(model.logits(model.states(batch, cache)))
    return torch.cat(found).tolist()


def report(model: Decoder) -> dict[str, JsonValue]:
    rows: list[JsonValue] = [[*row] for row in logits(model)]
    return {
        "logits": rows,
        "plain": answered(model, Speculation.OFF),
        "drafted": answered(model, Speculation.MTP),
    }


def main() -> None:
    rank, size, port, family, output = sys.argv[1:]
    torch.set_num_threads(1)
    ranks: ProcessRanks = join(rank=int(rank), size=int(size), meet=f"tcp://127.0.0.1:{port}")
    tensors, config = stored_model(family)
    builder = sharded_builder(ranks, ranks.device)
    model = load_model(MemoryArchive(tensors), parse_config(config), builder=builder)
    if ranks.rank:
        follow(model, ranks)
        return
    leading = LeadingModel(model, ranks)
    Path(output).write_text(json.dumps(report(leading)), encoding="utf-8")
    leading.stop()


if __name__ == "__main__":
    main()
