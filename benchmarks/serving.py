"""The server against its own engine: what streaming to many clients costs, on this machine.

    python benchmarks/serving.py                     # the tiny checkpoint and the embedded model
    python benchmarks/serving.py --models tiny --memory 10000

Engine and server take turns, each in a process of its own, and the clients in theirs: 64 streams
with the same prompts and lengths. Told are the best rounds, the clients' CPU too, because it is
taken from the same cores. `--memory` sends so many whole requests and watches the server's memory.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic, perf_counter, process_time, sleep
from urllib.request import urlopen

import psutil
from pydantic import JsonValue
from serving_clients import Heard, ask_many, listen, percentile, read_metrics

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "model_runtime" / "training" / "tiny"
START_S = 60.0
WARM_REQUESTS = 1_000


@dataclass(frozen=True)
class Load:
    """What is asked: streams, their lengths, and the engine's room for them."""

    model: str
    streams: int
    tokens: int
    threads: int
    cache_tokens: int = 32_768

    def flags(self) -> list[str]:
        """The runtime's own."""
        flags = ["--running", str(self.streams), "--cache-tokens", str(self.cache_tokens)]
        flags += ["--threads", str(self.threads)]
        return [*flags, "--model", str(TINY)] if self.model == "tiny" else flags

    def prompt(self, number: int) -> str:
        """One client's, unlike the others'."""
        return f"Client {number} asks for a table for {number % 7 + 2} people at {number % 12 + 1}."

    def body(self, number: int) -> dict[str, JsonValue]:
        """A chat that ends after `tokens`, and no sooner."""
        return {
            "model": "tiny" if self.model == "tiny" else "SmolLM2-135M-Instruct",
            "messages": [{"role": "user", "content": self.prompt(number)}],
            "max_tokens": self.tokens,
            "temperature": 0,
            "ignore_eos": True,
        }


@dataclass(frozen=True)
class Row:
    """One model's figures: tokens per second, milliseconds, and CPU microseconds per token."""

    model: str
    streams: int
    engine_alone: float
    served: float
    share: float
    first_ms: float
    gap_p50_ms: float
    gap_p99_ms: float
    gap_worst_ms: float
    slowest_over_fastest: float
    step_p99_ms: float
    engine_cpu_us: float
    server_cpu_us: float
    client_cpu_us: float


def main() -> None:
    """Measure and print; the last line is all rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=["tiny", "embedded"])
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--port", type=int, default=9350)
    parser.add_argument("--memory", type=int, default=0, help="requests; 10000 is the target's")
    parser.add_argument("--engine-alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rows: list[dict[str, JsonValue]] = []
    for model in arguments.models:
        load = Load(model, arguments.streams, arguments.tokens, arguments.threads)
        if arguments.engine_alone:
            print(json.dumps(run_engine(load)))
            return
        rows.append(asdict(compare(load, rounds=arguments.rounds, port=arguments.port)))
        print(json.dumps(rows[-1], indent=1), flush=True)
        with running(load, arguments.port) as server:
            print(model, "a stream that is left:", asyncio.run(leave(load, arguments.port)))
            if arguments.memory:
                told = asyncio.run(watch_memory(load, arguments.port, server, arguments.memory))
                print(model, told, flush=True)
    print(json.dumps(rows))


def compare(load: Load, *, rounds: int, port: int) -> Row:
    """Engine and server in turn; the best round of each."""
    alone: list[dict[str, float]] = []
    served: list[tuple[float, list[Heard], float, float]] = []
    for _ in range(rounds):
        alone.append(engine_alone(load))
        with running(load, port) as server:
            asyncio.run(stream_all(replace(load, tokens=8), port))  # warm
            before, ours, begun = server.cpu_times(), process_time(), perf_counter()
            heard = asyncio.run(stream_all(load, port))
            took = perf_counter() - begun
            used = sum(server.cpu_times()[:2]) - sum(before[:2])
            served.append((took, heard, used, process_time() - ours))
    took, heard, server_cpu, client_cpu = min(served, key=lambda item: item[0])
    engine = max(alone, key=lambda item: item["rate"])
    gaps = [gap * 1e3 for one in heard for gap in one.gaps]
    ends = [one.came[-1] - min(other.came[0] for other in heard) for one in heard]
    rate = sum(one.tokens for one in heard) / took
    start = min(one.came[0] for one in heard)
    each = 1e6 / (load.streams * load.tokens)
    return Row(
        model=load.model,
        streams=load.streams,
        engine_alone=round(engine["rate"], 1),
        served=round(rate, 1),
        share=round(rate / engine["rate"], 3),
        first_ms=round(max(one.came[0] - start for one in heard) * 1e3, 1),
        gap_p50_ms=round(statistics.median(gaps), 2),
        gap_p99_ms=round(percentile(gaps, 0.99), 2),
        gap_worst_ms=round(max(gaps), 2),
        slowest_over_fastest=round(max(ends) / min(ends), 3),
        step_p99_ms=round(engine["step_p99_ms"], 2),
        engine_cpu_us=round(engine["cpu_us"], 1),
        server_cpu_us=round(server_cpu * each, 1),
        client_cpu_us=round(client_cpu * each, 1),
    )


async def stream_all(load: Load, port: int) -> list[Heard]:
    """All clients at once, each to its end."""
    heard = await asyncio.gather(
        *(listen(port, load.body(number)) for number in range(load.streams))
    )
    if short := [one.tokens for one in heard if one.tokens != load.tokens]:
        raise RuntimeError(f"streams ended early: {short}")
    return heard


def engine_alone(load: Load) -> dict[str, float]:
    """The engine in a fresh process, without any server."""
    command = [sys.executable, __file__, "--engine-alone", "--models", load.model]
    sizes = ["--streams", str(load.streams), "--tokens", str(load.tokens)]
    sizes += ["--threads", str(load.threads)]
    done = subprocess.run([*command, *sizes], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_engine(load: Load) -> dict[str, float]:
    """Step the engine with the same requests as the clients send."""
    # Torch belongs to this process alone: the clients' stays light.
    import torch  # noqa: PLC0415 - torch takes seconds

    from treadle.model_runtime.acceleration import build_fastest  # noqa: PLC0415 - torch takes seconds
    from treadle.model_runtime.checkpoint import load_checkpoint  # noqa: PLC0415 - torch takes seconds
    from treadle.model_runtime.embedded import embedded_model  # noqa: PLC0415 - torch takes seconds
    from treadle.model_runtime.engine import Engine  # noqa: PLC0415 - torch takes seconds
    from treadle.model_runtime.request import Limits, Request, Sampling  # noqa: PLC0415 - torch takes seconds
    from treadle.model_runtime.settings import RuntimeSettings  # noqa: PLC0415 - torch takes seconds

    settings = RuntimeSettings(running=load.streams, cache_tokens=load.cache_tokens)
    path = TINY if load.model == "tiny" else embedded_model()
    torch.set_num_threads(load.threads)
    checkpoint = load_checkpoint(path, builder=build_fastest)
    torch.set_num_threads(1)  # as the server does: the kernels have threads of their own
    options = settings.engine_options(mtp=checkpoint.model.mtp_depth > 0)
    engine = Engine(checkpoint.model, options, tokenizer=checkpoint.tokenizer)
    template = checkpoint.template
    assert template is not None

    def submit(tokens: int) -> None:
        for number in range(load.streams):
            text = template.render([{"role": "user", "content": load.prompt(number)}])
            prompt = checkpoint.tokenizer.encode(text)
            limits = Limits(max_tokens=tokens, ignore_eos=True)
            engine.submit(Request(f"r{number}", prompt, Sampling(temperature=0), limits))

    submit(8)
    while not engine.idle:
        engine.step()
    submit(load.tokens)
    steps: list[float] = []
    begun, cpu = perf_counter(), process_time()
    while not engine.idle:
        before = perf_counter()
        engine.step()
        steps.append(perf_counter() - before)
    took, used = perf_counter() - begun, process_time() - cpu
    return {
        "rate": load.streams * load.tokens / took,
        "cpu_us": used / (load.streams * load.tokens) * 1e6,
        "step_p99_ms": percentile(steps, 0.99) * 1e3,
    }


async def leave(load: Load, port: int) -> dict[str, float]:
    """Steps from the moment a client leaves among others until its request is gone."""
    long = {**load.body(0), "max_tokens": 400}
    others = [
        asyncio.create_task(listen(port, {**load.body(n), "max_tokens": 400})) for n in (1, 2)
    ]
    await listen(port, long, leave_after=5)
    before, begun = await read_metrics(port), monotonic()
    now = before
    while now["treadle_runtime_requests_running"] > len(others):
        now = await read_metrics(port)
    steps = now["treadle_runtime_steps_total"] - before["treadle_runtime_steps_total"]
    seconds = monotonic() - begun
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return {"steps": steps, "ms": round(seconds * 1e3, 1)}


async def watch_memory(load: Load, port: int, server: psutil.Process, count: int) -> str:
    """The server's own memory after a warm-up and after all requests, in MiB."""
    body = {**load.body(0), "max_tokens": 8}
    sizes: list[float] = []
    for part in (WARM_REQUESTS, count // 2, count - count // 2):
        await ask_many(port, body, count=part, at_once=16)
        sizes.append(server.memory_full_info().uss / 2**20)
    told = ", ".join(f"{size:.1f}" for size in sizes)
    return f"MiB after {WARM_REQUESTS}, {count // 2} and {count} more requests: {told}"


@contextmanager
def running(load: Load, port: int) -> Iterator[psutil.Process]:
    """A server in a process of its own, until it has stopped."""
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "TREADLE_RUNTIME_STATE": state}
        command = [sys.executable, "-m", "treadle.model_runtime", "serve", "--port", str(port)]
        with subprocess.Popen(
            [*command, *load.flags()], env=environment, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _await_health(port, process)
                yield psutil.Process(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(START_S)


def _await_health(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = monotonic() + START_S
    while process.poll() is None and monotonic() < until:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except OSError:
            sleep(0.1)
    raise RuntimeError("the server did not start")


if __name__ == "__main__":
    main()
