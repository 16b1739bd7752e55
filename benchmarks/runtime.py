"""Decode and prefill of the model runtime against its peers, on this machine, in one run.

    python benchmarks/runtime.py          # nano, float32, batch 1 and 8, context 128
    python benchmarks/runtime.py --all    # both shapes and dtypes, batch 1 to 32, 128 and 1,024
    python benchmarks/runtime.py --drafts --embedded    # the tiny checkpoint; SmolLM2
    python benchmarks/runtime.py --all --real-time      # on a busy machine, as root

The engines take turns within each row, so that a busy moment hits all of them; the best and the
median step are told, and at the end each target, met or missed, by the best steps. The weights are
random and the same for all. llama.cpp takes part where `llama-cpp-python` is installed. Beside
every decode stands the time that its bytes take at the read bandwidth measured in the same run,
beside every prefill the time of torch.matmul over its shapes.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial

import torch
from runtime_engines import DTYPES, PROMPT, SHAPES, Peers
from runtime_models import draft_figures, embedded_figures
from runtime_served import served_figures
from runtime_targets import (
    Row,
    Verdict,
    draft_verdicts,
    embedded_verdicts,
    prefix_verdicts,
    verdicts,
)
from runtime_timing import matmul_time, read_bandwidth, read_per_step, take_turns, undisturbed

ENGINES = ("plain", "fused", "transformers", "llama.cpp")


def main() -> None:
    """Measure and print; the last line is all rows as JSON."""
    arguments = parse()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    with undisturbed(arguments.real_time):
        bandwidth = read_bandwidth()
    print(f"read bandwidth {bandwidth / 1e9:.1f} GB/s, {arguments.threads} threads")
    rows: list[Row] = []
    found: list[Verdict] = []
    if arguments.drafts:
        drafts = draft_figures(real_time=arguments.real_time)
        drafts |= served_figures(real_time=arguments.real_time)
        found += draft_verdicts(told(drafts))
    if arguments.embedded:
        found += embedded_verdicts(told(embedded_figures(real_time=arguments.real_time)))
    for shape in arguments.shapes:
        for dtype in arguments.dtypes:
            for row in measure(shape, dtype, arguments, bandwidth):
                rows.append(row)
                print(tell(row), flush=True)
    found += [*verdicts(rows), *prefix_verdicts(rows)]
    print("\n".join(verdict.tell() for verdict in found))
    print(f"{sum(verdict.met for verdict in found)} of {len(found)} targets met")
    print(json.dumps([asdict(row) for row in rows]))


def told(figures: dict[str, float]) -> dict[str, float]:
    """The same, after printing them."""
    print(json.dumps(figures), flush=True)
    return figures


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
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--real-time", action="store_true", help="let nobody else run during a burst of steps"
    )
    arguments = parser.parse_args()
    if arguments.all:
        arguments.shapes, arguments.dtypes = list(SHAPES), list(DTYPES)
        arguments.batches, arguments.contexts = [1, 8, 32], [128, 1024]
    return arguments


def measure(
    shape: str, dtype: str, arguments: argparse.Namespace, bandwidth: float
) -> Iterator[Row]:
    """All rows of one shape and dtype."""
    peers = Peers(shape, dtype, arguments.engines, threads=arguments.threads)
    width = DTYPES[dtype].itemsize
    timed = partial(take_turns, real_time=arguments.real_time)
    for context in arguments.contexts:
        for batch in arguments.batches:
            limit = read_per_step(peers.config, batch) * width / bandwidth
            for name, times in timed(peers.decode(batch, context), arguments.rounds).items():
                yield row_of(shape, dtype, "decode", batch, context, name, times, limit)
    limit = matmul_time(peers.config, PROMPT, DTYPES[dtype], real_time=arguments.real_time)
    rounds = max(arguments.rounds // 2, 3)
    for task, steps in (("prefill", peers.prefill()), ("shared prefill", peers.shared_prefill())):
        for name, times in timed(steps, rounds).items():
            yield row_of(shape, dtype, task, 1, PROMPT, name, times, limit)


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


def tell(row: Row) -> str:
    """One line."""
    limit = f"  limit {row.limit_ms:7.2f}" if row.limit_ms else ""
    return (
        f"{row.shape:6} {row.dtype:9} {row.task:8} batch {row.batch:3} context {row.context:5} "
        f"{row.engine:13} best {row.best_ms:8.2f} ms  median {row.median_ms:8.2f} ms{limit}"
    )


if __name__ == "__main__":
    main()
