"""Decode and prefill of the model runtime against its peers, on this machine, in one run.

    python benchmarks/runtime.py          # nano, float32, batch 1 and 8, context 128
    python benchmarks/runtime.py --all    # both shapes and dtypes, batch 1 to 32, 128 and 1,024
    python benchmarks/runtime.py --drafts --embedded    # the tiny checkpoint; SmolLM2

The engines take turns within each row, so that a busy moment hits all of them; the best and the
median step are told. The weights are random and the same for all. llama.cpp takes part where
`llama-cpp-python` is installed. Beside every decode stands the time that its bytes take at the read
bandwidth measured in the same run, beside every prefill the time of torch.matmul over its shapes.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter, sleep

import torch
from llama_peer import LlamaPeer
from pydantic import JsonValue
from runtime_models import draft_figures, embedded_figures
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
    """Milliseconds of one engine in one row; `limit` is of the bytes, or of torch.matmul."""

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
    if arguments.drafts:
        print(json.dumps(draft_figures()), flush=True)
    if arguments.embedded:
        print(json.dumps(embedded_figures()), flush=True)
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
    parser.add_argument("--drafts", action="store_true", help="the tiny checkpoint's gain by MTP")
    parser.add_argument("--embedded", action="store_true", help="SmolLM2 against Transformers")
    parser.add_argument("--shapes", nargs="*", choices=list(SHAPES), default=["nano"])
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
    peer = llama_peer(theirs, config, threads=arguments.threads)
    width = DTYPES[dtype].itemsize
    for context in arguments.contexts:
        for batch in arguments.batches:
            steps = {name: our_decode(model, batch, context) for name, model in ours.items()}
            steps["transformers"] = their_decode(theirs, batch, context)
            if peer is not None:
                steps["llama.cpp"] = peer.decode(batch, context)
            limit = read_per_step(config, batch) * width / bandwidth
            for name, times in take_turns(steps, arguments.rounds).items():
                yield row_of(shape, dtype, "decode", batch, context, name, times, limit)
    reads = {name: our_prefill(model, 512) for name, model in ours.items()}
    reads["transformers"] = their_prefill(theirs, 512)
    if peer is not None:
        reads["llama.cpp"] = peer.prefill(512)
    limit = matmul_time(config, 512, DTYPES[dtype])
    for name, times in take_turns(reads, max(arguments.rounds // 3, 3)).items():
        yield row_of(shape, dtype, "prefill", 1, 512, name, times, limit)


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


BURST = 3
PAUSE_S = 0.02  # the threads of the engine before spin for a while


def take_turns(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step; in each turn the first one warms up and is not counted.

    torch's threads would spin beside the fused kernels' own, so it has one during their turns.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    threads = torch.get_num_threads()
    with torch.inference_mode():
        for _ in range(rounds):
            for name, step in steps.items():
                torch.set_num_threads(1 if name == "fused" else threads)
                sleep(PAUSE_S)
                step()
                for _ in range(BURST):
                    begun = perf_counter()
                    step()
                    times[name].append(perf_counter() - begun)
    torch.set_num_threads(threads)
    return times


def llama_peer(
    theirs: DeepseekV3ForCausalLM, config: DeepseekConfig, *, threads: int
) -> LlamaPeer | None:
    """llama.cpp on the same weights, if it is installed."""
    try:
        return LlamaPeer(theirs.state_dict(), config, threads=threads)
    except ImportError:
        return None


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


def matmul_time(config: DeepseekConfig, length: int, dtype: torch.dtype) -> float:
    """Seconds of torch.matmul over the products of a prompt, attention's among them.

    Experts have their average share of tokens, and every token sees half of the prompt.
    """
    hidden, heads = config.hidden_size, config.heads
    rank, query = config.kv_lora_rank, config.q_lora_rank or hidden
    per_head, key = config.nope_dim + config.rope_dim, rank + config.rope_dim
    share = length * config.top_experts // config.experts
    layers, sparse = config.layers, config.layers - config.dense_layers
    wide, narrow = config.intermediate_size, config.moe_intermediate_size
    shared = narrow * config.shared_experts
    products = [  # how often, rows, inner, columns
        (layers, length, hidden, query + key),
        (layers, length, query, heads * per_head),
        (layers * heads, length, config.nope_dim, rank),
        (layers, heads * length, key, length // 2),
        (layers, heads * length, length // 2, rank),
        (layers * heads, length, rank, config.value_dim),
        (layers, length, heads * config.value_dim, hidden),
        (config.dense_layers, length, hidden, 2 * wide),
        (config.dense_layers, length, wide, hidden),
        (sparse, length, hidden, 2 * shared),
        (sparse, length, shared, hidden),
        (sparse * config.experts, share, hidden, 2 * narrow),
        (sparse * config.experts, share, narrow, hidden),
        (1, 1, hidden, config.vocab_size),
    ]
    return sum(count * _product(sizes, dtype) for count, *sizes in products)


def _product(sizes: list[int], dtype: torch.dtype) -> float:
    """The best of a few."""
    rows, inner, columns = sizes
    left, right = torch.randn(rows, inner, dtype=dtype), torch.randn(inner, columns, dtype=dtype)
    times: list[float] = []
    for _ in range(6):
        begun = perf_counter()
        torch.matmul(left, right)
        times.append(perf_counter() - begun)
    return min(times)


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
