"""Decode and prefill of the model runtime against Transformers, on this machine, in one run.

    python benchmarks/runtime.py          # nano, float32, batch 1 and 8, context 128
    python benchmarks/runtime.py --all    # both shapes and dtypes, batch 1 to 32, 128 and 1,024

The engines take turns within each row, so that a busy moment hits all of them; the best and the
median step are told. The weights are random and the same for all. Beside every row stands the
time that the row's bytes take at the read bandwidth measured in the same run.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DynamicCache

from treadle.model_runtime.acceleration import accelerated
from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.config import DeepseekConfig, parse_config
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import Decoder

BLOCK = 16
SHARED: dict[str, JsonValue] = {
    "model_type": "deepseek_v3",
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "routed_scaling_factor": 2.5,
    "n_group": 4,
    "topk_group": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "num_experts_per_tok": 4,
    "max_position_embeddings": 4096,
    "num_nextn_predict_layers": 0,
}
SHAPES: dict[str, dict[str, JsonValue]] = {
    "nano": {
        "vocab_size": 4096,
        "hidden_size": 256,
        "intermediate_size": 512,
        "moe_intermediate_size": 64,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "n_routed_experts": 16,
        "kv_lora_rank": 64,
        "q_lora_rank": 96,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
    },
    "small": {
        "vocab_size": 32000,
        "hidden_size": 512,
        "intermediate_size": 1536,
        "moe_intermediate_size": 256,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "n_routed_experts": 32,
        "kv_lora_rank": 128,
        "q_lora_rank": 256,
        "qk_nope_head_dim": 64,
        "qk_rope_head_dim": 32,
        "v_head_dim": 64,
    },
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """Milliseconds of one engine in one row; `limit` is the bytes' time at read bandwidth."""

    shape: str
    dtype: str
    task: str
    batch: int
    context: int
    engine: str
    best_ms: float
    median_ms: float
    limit_ms: float


def main() -> None:
    """Measure and print; the last line is all rows as JSON."""
    arguments = parse()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    bandwidth = read_bandwidth()
    print(f"read bandwidth {bandwidth / 1e9:.1f} GB/s, {arguments.threads} threads")
    rows: list[Row] = []
    for shape in arguments.shapes:
        for dtype in arguments.dtypes:
            for row in measure(shape, dtype, arguments, bandwidth):
                rows.append(row)
                print(tell(row), flush=True)
    print(json.dumps([asdict(row) for row in rows]))


def parse() -> argparse.Namespace:
    """`--all` is the whole table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["nano"])
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=["float32"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--contexts", nargs="+", type=int, default=[128])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.all:
        arguments.shapes, arguments.dtypes = list(SHAPES), list(DTYPES)
        arguments.batches, arguments.contexts = [1, 8, 32], [128, 1024]
    return arguments


def measure(
    shape: str, dtype: str, arguments: argparse.Namespace, bandwidth: float
) -> Iterator[Row]:
    """All rows of one shape and dtype."""
    fields: dict[str, JsonValue] = {**SHARED, **SHAPES[shape], "dtype": dtype}
    theirs = DeepseekV3ForCausalLM(DeepseekV3Config.from_dict({**fields, "initializer_range": 0.1}))
    theirs.train(mode=False)
    if dtype == "bfloat16":
        theirs.bfloat16()
    config = parse_config(fields)
    assert isinstance(config, DeepseekConfig)
    plain = load_model(MemoryArchive(theirs.state_dict()), config, dtype=DTYPES[dtype])
    ours = {"plain": plain, "fused": accelerated(plain)}
    if ours["fused"] is plain:
        del ours["fused"]
    width = DTYPES[dtype].itemsize
    for context in arguments.contexts:
        for batch in arguments.batches:
            steps = {name: our_decode(model, batch, context) for name, model in ours.items()}
            steps["transformers"] = their_decode(theirs, batch, context)
            limit = read_per_step(config, batch) * width / bandwidth
            for name, times in take_turns(steps, arguments.rounds).items():
                yield row_of(shape, dtype, "decode", batch, context, name, times, limit)
    reads = {name: our_prefill(model, 512) for name, model in ours.items()}
    reads["transformers"] = their_prefill(theirs, 512)
    for name, times in take_turns(reads, max(arguments.rounds // 3, 3)).items():
        yield row_of(shape, dtype, "prefill", 1, 512, name, times, 0)


def row_of(
    shape: str,
    dtype: str,
    task: str,
    batch: int,
    context: int,
    engine: str,
    times: list[float],
    limit: float,
) -> Row:
    """Seconds to milliseconds."""
    best, median = min(times) * 1e3, statistics.median(times) * 1e3
    return Row(shape, dtype, task, batch, context, engine, best, median, limit * 1e3)


def take_turns(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step; the first round warms up and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    with torch.inference_mode():
        for number in range(rounds + 1):
            for name, step in steps.items():
                begun = perf_counter()
                step()
                if number:
                    times[name].append(perf_counter() - begun)
    return times


def our_decode(model: Decoder, batch: int, context: int) -> Callable[[], None]:
    """One token for each request, over a cache whose content does not matter for the time."""
    per_request = context // BLOCK + 1
    cache = torch.randn(
        model.cache_layers, batch * per_request * BLOCK, model.cache_width, dtype=model.dtype
    )
    spans = [
        Span([number], context, range(number * per_request, (number + 1) * per_request))
        for number in range(batch)
    ]

    def step() -> None:
        laid_out = lay_out(spans, block_size=BLOCK)
        model.logits(model.states(laid_out, cache)).argmax(dim=-1)

    return step


def our_prefill(model: Decoder, length: int) -> Callable[[], None]:
    """One fresh prompt."""
    cache = torch.zeros(model.cache_layers, length, model.cache_width, dtype=model.dtype)
    span = Span([*range(length)], 0, range(length // BLOCK))

    def step() -> None:
        states = model.states(lay_out([span], block_size=BLOCK), cache)
        model.logits(states[-1:]).argmax(dim=-1)

    return step


def their_decode(model: DeepseekV3ForCausalLM, batch: int, context: int) -> Callable[[], None]:
    """One token for each row of a batch over Transformers' own cache, which grows by one."""
    cache = DynamicCache(config=model.config)
    prompts = torch.randint(0, model.config.vocab_size, (batch, context))
    with torch.inference_mode():
        for part in torch.split(prompts, 128, dim=1):
            model(part, cache=cache, use_cache=True, logits_to_keep=1)
    tokens = torch.zeros(batch, 1, dtype=torch.int64)

    def step() -> None:
        model(tokens, cache=cache, use_cache=True).logits.argmax(dim=-1)

    return step


def their_prefill(model: DeepseekV3ForCausalLM, length: int) -> Callable[[], None]:
    """One fresh prompt."""
    tokens = torch.arange(length)[None]

    def step() -> None:
        model(tokens, use_cache=True, logits_to_keep=1).logits.argmax(dim=-1)

    return step


def read_per_step(config: DeepseekConfig, batch: int) -> float:
    """Weights read for one step of `batch` tokens; experts as often as chance would touch them."""
    hidden, heads = config.hidden_size, config.heads
    rank, query = config.kv_lora_rank, config.q_lora_rank or 0
    attention = (
        hidden * query
        + query * heads * (config.nope_dim + config.rope_dim)
        + hidden * (rank + config.rope_dim)
        + rank * heads * (config.nope_dim + config.value_dim)
        + heads * config.value_dim * hidden
    )
    expert = 3 * hidden * config.moe_intermediate_size
    touched = config.experts * (1 - (1 - config.top_experts / config.experts) ** batch)
    sparse = config.layers - config.dense_layers
    return (
        config.layers * attention
        + config.dense_layers * 3 * hidden * config.intermediate_size
        + sparse * ((touched + config.shared_experts) * expert + hidden * config.experts)
        + config.vocab_size * hidden
    )


def read_bandwidth() -> float:
    """Bytes per second of summing an array far larger than the caches; the best of five."""
    array: Tensor = torch.ones(64 * 1024 * 1024)
    times: list[float] = []
    for _ in range(6):
        begun = perf_counter()
        array.sum()
        times.append(perf_counter() - begun)
    return array.numel() * 4 / min(times)


def tell(row: Row) -> str:
    """One line."""
    limit = f"  limit {row.limit_ms:7.2f}" if row.limit_ms else ""
    return (
        f"{row.shape:6} {row.dtype:9} {row.task:8} batch {row.batch:3} context {row.context:5} "
        f"{row.engine:13} best {row.best_ms:8.2f} ms  median {row.median_ms:8.2f} ms{limit}"
    )


if __name__ == "__main__":
    main()
