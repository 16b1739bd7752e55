"""Cost must not grow with history, nor memory with runs.

Two services side by side, one with a young database, one with 100,000 finished runs more: the same
workloads on each in turn, several times, and the median of the ratios, because cores change their
speed from minute to minute. Then 10,000 runs on the old one, and the memory before and after.
Targets: at most 1.1 times the CPU and the time; memory flat within 30 MiB.

    python benchmarks/history.py [--runs 100000] [--many 10000] [--seconds 5] [--rounds 5]
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
from engine import Service
from psycopg import sql
from stack import load, model, service
from stack.cpu import memory_mb
from stack.figures import header, line
from stack.workloads import WORKLOADS

MEASURED = (("noop", 1), ("noop", 32), ("effects-3", 32))
TARGET = 1.1
MOST_GROWTH_MB = 30.0
_COPY = """
WITH one AS (
    SELECT * FROM runs WHERE agent = %s AND status = 'succeeded' ORDER BY id LIMIT 1
), new AS (
    INSERT INTO runs (id, root_id, {columns})
    SELECT n.id, n.id, {columns} FROM one, (
        SELECT uuidv7() AS id FROM generate_series(1, %s)
    ) AS n
    RETURNING id
)
INSERT INTO log (run_id, seq, workspace_id, at, entry)
SELECT new.id, l.seq, l.workspace_id, l.at, l.entry
FROM new, log l WHERE l.run_id = (SELECT id FROM one)
"""


def add_finished_runs(connection: psycopg.Connection, agent: str, count: int) -> None:
    """Copy a run that succeeded, with its log, so many times."""
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'runs'"
        " AND column_name NOT IN ('id', 'root_id')"
    )
    columns = sql.SQL(", ").join(sql.Identifier(row[0]) for row in found.fetchall())
    connection.execute(sql.SQL(_COPY).format(columns=columns), (agent, count))
    connection.execute("ANALYZE runs, log")


def compare(young: Service, old: Service, name: str, connections: int, rounds: int) -> bool:
    """Measure in turns and print the ratios; says whether their median is within the target."""
    workload = next(workload for workload in WORKLOADS if workload.name == name)
    cpu: list[float] = []
    took: list[float] = []
    for number in range(rounds):
        pair = (young, old) if number % 2 else (old, young)
        found = {ours: ours.measure(workload, connections) for ours in pair}
        for figures in found.values():
            print(line(figures), flush=True)
        cpu.append((found[old].cpu_ms or 0) / (found[young].cpu_ms or 1))
        took.append(found[young].runs_per_s / found[old].runs_per_s)
    for what, ratios in (("CPU", cpu), ("time", took)):
        told = f"x {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name} at {connections}: {what} {told}", flush=True)
    return max(statistics.median(cpu), statistics.median(took)) <= TARGET


def endure(place: service.Place, ours: Service, count: int) -> bool:
    """Many runs; says whether the memory of the Python processes stayed."""
    request = ours.request(WORKLOADS[0])
    load.post(request, connections=32, seconds=3)
    time.sleep(5)
    before, done = memory_mb([place.pid], named="python"), 0
    while done < count:
        done += load.post(request, connections=32, seconds=5).count
    time.sleep(5)
    after = memory_mb([place.pid], named="python")
    print(f"memory of the Python processes: {before:.0f} MiB, {after:.0f} after {done} more runs")
    return after - before <= MOST_GROWTH_MB


def main() -> int:
    """Measure and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=9225)
    arguments = parser.parse_args()
    if not load.is_there():
        print("left out: it needs wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 0
    home = Path(tempfile.mkdtemp(prefix="treadle-bench-"))
    try:
        with ExitStack() as stack:
            url, pid = stack.enter_context(model.endpoint(arguments.port + 2))
            places = {
                name: _start(stack, home / name, url, arguments.port + number)
                for number, name in enumerate(("young", "old"))
            }
            print(header())
            young, old = (
                Service(place, pid, seconds=arguments.seconds) for place in places.values()
            )
            _age(places["old"], old, arguments.runs)
            levels = [
                compare(young, old, name, connections, arguments.rounds)
                for name, connections in MEASURED
            ]
            is_flat = endure(places["old"], old, arguments.many)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if all(levels) and is_flat else 1


def _start(stack: ExitStack, home: Path, model_url: str, port: int) -> service.Place:
    service.write_models(home, model_url)
    return stack.enter_context(service.running(home, port=port, model_url=f"{model_url}/v1"))


def _age(place: service.Place, ours: Service, count: int) -> None:
    """Half of the history is empty runs, half runs of effects."""
    names = sorted({name for name, _ in MEASURED})
    for workload in WORKLOADS:
        if workload.name in names:
            load.post(ours.request(workload), connections=1, seconds=1)
    with service.owner(place) as connection:
        for name in names:
            add_finished_runs(connection, name, count // len(names))


if __name__ == "__main__":
    sys.exit(main())
