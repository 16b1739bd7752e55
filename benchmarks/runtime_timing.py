"""Times of steps that take turns, and the limits that this machine sets them."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter, sleep

import torch
from torch import Tensor

from treadle.model_runtime.config import DeepseekConfig

BURST_S = 0.06
LONG_STEP_S = 0.25  # three of these are enough
PAUSE_S = 0.02  # the threads of the engine before spin for a while


def take_turns(
    steps: dict[str, Callable[[], None]], rounds: int, *, real_time: bool
) -> dict[str, list[float]]:
    """Seconds of each step; in each turn the first one warms up and is not counted.

    torch's threads would spin beside the fused kernels' own, so it has one during their turns.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    threads = torch.get_num_threads()
    with torch.inference_mode():
        for turn in range(rounds):
            for name, step in steps.items():
                if turn > 1 and min(times[name]) > LONG_STEP_S:
                    continue
                torch.set_num_threads(1 if name == "fused" else threads)
                sleep(PAUSE_S)
                with undisturbed(real_time):
                    times[name] += burst(step)
                # Whoever was kept waiting gets as long.
                sleep(min(sum(times[name][-3:]), 1.0) if real_time else 0)
    torch.set_num_threads(threads)
    return times


def burst(step: Callable[[], None]) -> list[float]:
    """Seconds of a few steps."""
    step()
    times: list[float] = []
    while sum(times) < BURST_S:
        begun = perf_counter()
        step()
        times.append(perf_counter() - begun)
    return times


@contextmanager
def undisturbed(real_time: bool, *processes: int) -> Iterator[None]:
    """Nobody of ordinary priority runs on the processors that these processes keep busy.

    Without any, it is this process alone.
    """
    if not real_time:
        yield
        return
    chosen = processes or (os.getpid(),)
    set_policy(chosen, os.SCHED_FIFO, 1)
    try:
        yield
    finally:
        set_policy(chosen, os.SCHED_OTHER, 0)


def set_policy(processes: Iterable[int], policy: int, priority: int) -> None:
    """For all their threads; raises `PermissionError` for who may not."""
    for process in processes:
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))


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


def matmul_time(
    config: DeepseekConfig, length: int, dtype: torch.dtype, *, real_time: bool
) -> float:
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
    total = 0.0
    for count, *sizes in products:
        sleep(PAUSE_S)
        with undisturbed(real_time):
            total += count * _product(sizes, dtype)
    return total


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
