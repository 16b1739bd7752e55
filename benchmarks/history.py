"""Cost must not grow with history, nor memory with runs.

The same workloads on a young database and, after 100,000 finished runs were put into it, once
more, taking turns with nothing but that between them; then 10,000 runs, and the memory before and
after. Targets: at most 1.1 times the CPU and the time; memory flat within 30 MiB.

    python benchmarks/history.py [--runs 100000] [--many 10000] [--seconds 5]
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from engine import Service
from psycopg import sql
from stack import load, model, service
from stack.cpu import memory_mb
from stack.figures import Figures, header, line
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


def measure(ours: Service) -> list[Figures]:
    """The workloads once."""
    by_name = {workload.name: workload for workload in WORKLOADS}
    found = [ours.measure(by_name[name], connections) for name, connections in MEASURED]
    for figures in found:
        print(line(figures), flush=True)
    return found


def compare(young: list[Figures], old: list[Figures]) -> bool:
    """Print the ratios; says whether all are within the target."""
    is_met = True
    for before, after in zip(young, old, strict=True):
        cpu = (after.cpu_ms or 0) / (before.cpu_ms or 1)
        took = before.runs_per_s / after.runs_per_s
        print(f"{before.workload} at {before.connections}: CPU x {cpu:.2f}, time x {took:.2f}")
        is_met = is_met and cpu <= TARGET
    return is_met


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
    parser.add_argument("--port", type=int, default=9225)
    arguments = parser.parse_args()
    if not load.is_there():
        print("left out: it needs wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 0
    home = Path(tempfile.mkdtemp(prefix="treadle-bench-"))
    try:
        with model.endpoint(arguments.port + 1) as (url, pid):
            service.write_models(home / "treadle", url)
            with service.running(
                home / "treadle", port=arguments.port, model_url=f"{url}/v1"
            ) as place:
                print(header())
                ours = Service(place, pid, seconds=arguments.seconds)
                young = measure(ours)
                with service.owner(place) as connection:
                    for agent, _ in MEASURED[1:]:
                        add_finished_runs(connection, agent, arguments.runs // 2)
                is_level = compare(young, measure(ours))
                is_flat = endure(place, ours, arguments.many)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if is_level and is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
