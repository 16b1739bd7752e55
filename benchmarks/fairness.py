"""Fairness: 10,000 queued runs of 20 workspaces, one of which sends 9,000.

First the nineteen small workspaces alone, then once more behind the 9,000 of the large one. Each
run calls a model that takes 100 ms. Times are from a run's making to its end, by the database's
clock. Target: all finish, and the small ones' p95 is at most twice what it is alone.

    python benchmarks/fairness.py [--large 9000] [--small 1000]
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from stack import model, service
from stack.posting import Post, post_all
from stack.workloads import calls

WORKSPACES = 20
TARGET = 2.0
AGENT = "one-call"
CONNECTIONS = 16
_P95 = """
SELECT count(*), count(*) FILTER (WHERE status = 'succeeded'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at)),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at))
FROM runs WHERE inputs->>'run' = %s
"""


def make_key(place: service.Place, workspace: str) -> str:
    """A key of a workspace of its own."""
    made = subprocess.run(
        [sys.executable, "-m", "treadle.platform.cli", "keys", "create", "--workspace", workspace],
        env={**os.environ, "TREADLE_HOME": str(place.home)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return next(word for word in made.split() if word.startswith("trd_"))


def posts(keys: Sequence[str], count: int, label: str) -> list[Post]:
    """So many runs, the workspaces in turn."""
    path = f"/v1/agents/{AGENT}/runs"
    body = {"inputs": {"run": label, "n": 0}}
    return [Post(path, keys[index % len(keys)], body) for index in range(count)]


def wait_for(place: service.Place, label: str, count: int) -> tuple[float, float]:
    """The p50 and p95 of all runs of a label, in seconds, once all have succeeded."""
    began = time.monotonic()
    with service.owner(place) as connection:
        while time.monotonic() - began < 1200:
            row = connection.execute(_P95, (label,)).fetchone()
            if row is not None and row[1] == count:
                return float(row[2]), float(row[3])
            time.sleep(1)
    raise TimeoutError(f"{label}: {row} of {count} runs")


def measure(place: service.Place, *, large: int, small: int) -> bool:
    """Alone, then behind the large one; says whether the target is met."""
    keys = [make_key(place, f"w{index}") for index in range(WORKSPACES)]
    for key in keys:
        agent = service.Place(**{**vars(place), "key": key})
        agent.make_agent(AGENT, calls(1).replace("llm, with: {", "llm, with: {model: slow, "))
    warm = asyncio.run(post_all(place.url, posts(keys[1:], 200, "warm"), connections=CONNECTIONS))
    wait_for(place, "warm", len(warm))
    asyncio.run(post_all(place.url, posts(keys[1:], small, "alone"), connections=CONNECTIONS))
    alone = wait_for(place, "alone", small)
    print(f"small ones alone:          p50 {alone[0]:.2f} s, p95 {alone[1]:.2f} s", flush=True)
    asyncio.run(post_all(place.url, posts(keys[:1], large, "large"), connections=CONNECTIONS))
    with service.owner(place) as connection:
        row = connection.execute("SELECT count(*) FROM runs WHERE status = 'queued'").fetchone()
    print(f"queued when the small ones begin: {row[0] if row else 0} of {large}", flush=True)
    asyncio.run(post_all(place.url, posts(keys[1:], small, "beside"), connections=CONNECTIONS))
    beside = wait_for(place, "beside", small)
    ratio = beside[1] / alone[1]
    print(f"small ones behind the large: p50 {beside[0]:.2f} s, p95 {beside[1]:.2f} s")
    big = wait_for(place, "large", large)
    print(f"the large one:             p50 {big[0]:.2f} s, p95 {big[1]:.2f} s; all finished")
    print(f"ratio of the small ones' p95: {ratio:.2f} (target: at most {TARGET})")
    return ratio <= TARGET


def main() -> int:
    """Measure and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--large", type=int, default=9000)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--port", type=int, default=9210)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="treadle-bench-"))
    try:
        with model.endpoint(arguments.port + 1) as (url, _):
            service.write_models(home / "treadle", url)
            with service.running(
                home / "treadle", port=arguments.port, model_url=f"{url}/v1"
            ) as place:
                is_met = measure(place, large=arguments.large, small=arguments.small)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
