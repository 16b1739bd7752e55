"""Peers that are asked over HTTP, by the same generator as Treadle."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence

from stack import load
from stack.cpu import Meter
from stack.figures import Figures

from peers.registry import Options

WARM_UP_S = 2.0
WORKLOADS: Mapping[str, Sequence[int]] = {
    "noop": (1, 8, 32),
    "pure-10": (1, 32),
    "llm-3": (1, 32),
    "fan-20": (1, 8),
}


def measure_paths(
    options: Options, base: str, pids: Sequence[int], *, stack: str
) -> Iterator[Figures]:
    """Every workload has a path of its name, with `_` for `-`."""
    for workload, connections in WORKLOADS.items():
        request = load.Request(f"{base}/{workload.replace('-', '_')}", {"run": "bench", "n": 0}, {})
        for count in connections:
            load.post(request, connections=count, seconds=WARM_UP_S)
            meter = Meter(pids, [options.model_pid])
            answered = load.post(request, connections=count, seconds=options.seconds)
            used = meter.read()
            if answered.errors or not answered.count:
                raise RuntimeError(f"{stack} {workload}: {answered}")
            yield Figures(
                stack=stack,
                workload=workload,
                connections=count,
                runs_per_s=answered.per_s,
                p50_ms=answered.p50_ms,
                p95_ms=answered.p95_ms,
                p99_ms=answered.p99_ms,
                cpu_ms=used.ours_s * 1000 / answered.count,
                other_cores=used.other_cores,
            )


def wait_for(url: str, *, seconds: float = 60) -> None:
    """Return when something answers there, whatever it says."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"nothing answers at {url}")
