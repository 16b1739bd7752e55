"""Durable runs: how many a second, what one costs, beside what others do with the same work.

Everything is real: `treadle up` with its embedded PostgreSQL and Valkey, API, one worker and one
scheduler; keys, row-level security, fences and fsync on. Each call posts to a stored agent and
waits for its run's end; afterwards the database is asked whether every one of them succeeded.
Then the engine alone: the same without HTTP and Celery, in one process, as engines are called that
are libraries.

    python benchmarks/engine.py [--seconds 6] [--only noop,llm-3] [--peers dbos,restate] [--json F]

It needs `wrk` (Debian: apt-get install wrk). Peers are measured where they are installed, else
left out with a line that says so: see `peers/README.md`. The machine should do nothing else; what
it did is in the column `others`, in cores, and how fast a core was in the last. CPU is ms per run
over all processes of a stack, without the load and the model.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from peers import registry
from stack import alone, database, load, model, service
from stack.cpu import Meter, core_speed
from stack.figures import Figures, header, line
from stack.workloads import WORKLOADS, Workload

WARM_UP_S = 2.0
LAST_S = 60.0


class Unfit(Exception):
    """A measurement that says nothing: no run ended in the time, or not all succeeded."""


class Service:
    """Measures the service: one workload at a time."""

    def __init__(self, place: service.Place, model_pid: int, *, seconds: float) -> None:
        self._place = place
        self._model_pid = model_pid
        self._seconds = seconds
        for workload in WORKLOADS:
            place.make_agent(workload.name, workload.template)

    def measure(self, workload: Workload, connections: int) -> Figures:
        """Warm up, measure, and count in the database what came of it."""
        place, request = self._place, self.request(workload)
        warm_up_s = max(WARM_UP_S, workload.least_s / 2)
        load.post(request, connections=connections, seconds=warm_up_s)
        self._wait_for_the_last()
        before = database.count(place.database_url)
        meter = Meter([place.pid], [self._model_pid])
        seconds = max(self._seconds, workload.least_s)
        answered = load.post(request, connections=connections, seconds=seconds)
        used = meter.read()
        did = database.count(place.database_url).since(before)
        self._wait_for_the_last()
        finished = self._succeeded(workload, since=before)
        if not answered.count or answered.errors or finished < answered.count:
            raise Unfit(f"{workload.name}: {answered}, but {finished} runs succeeded")
        return Figures(
            stack="treadle",
            workload=workload.name,
            connections=connections,
            runs_per_s=answered.per_s,
            p50_ms=answered.p50_ms,
            p95_ms=answered.p95_ms,
            p99_ms=answered.p99_ms,
            cpu_ms=used.ours_s * 1000 / answered.count,
            commits=did.commits / answered.count,
            transactions=did.transactions / answered.count,
            bytes=did.size / answered.count,
            other_cores=used.other_cores,
        )

    def request(self, workload: Workload) -> load.Request:
        """What is posted: a run of the workload's agent, waited for."""
        return load.Request(
            url=f"{self._place.url}/v1/agents/{workload.name}/runs",
            body={"inputs": {"run": "bench", "n": 0}, "wait_s": 60},
            headers=self._place.headers,
        )

    def _wait_for_the_last(self) -> None:
        """Return when nothing runs any more: the load leaves runs that nobody waits for."""
        until = time.monotonic() + LAST_S
        with service.owner(self._place) as connection:
            while time.monotonic() < until:
                left = connection.execute(
                    "SELECT 1 FROM runs WHERE status IN ('queued', 'running') LIMIT 1"
                ).fetchone()
                if left is None:
                    return
                time.sleep(0.05)

    def _succeeded(self, workload: Workload, *, since: database.Counts) -> int:
        """Runs of a workload that succeeded after a count; the log's own word, not the API's."""
        with service.owner(self._place) as connection:
            row = connection.execute(
                "SELECT count(*) FROM runs WHERE agent = %s AND status = 'succeeded'"
                " AND created_at > %s",
                (workload.name, since.at),
            ).fetchone()
        assert row is not None
        return int(row[0])


def measure_all(arguments: argparse.Namespace, home: Path, found: list[Figures]) -> None:
    """The service, then each peer, one after the other; adds to what was found as it goes."""
    wanted = [w for w in WORKLOADS if not arguments.only or w.name in arguments.only]
    print(header())
    with model.endpoint(arguments.port + 1) as (model_url, model_pid):
        service.write_models(home / "treadle", model_url)
        with service.running(
            home / "treadle", port=arguments.port, model_url=f"{model_url}/v1"
        ) as place:
            ours = Service(place, model_pid, seconds=arguments.seconds)
            for workload in wanted:
                for connections in workload.connections:
                    try:
                        found.append(say(ours.measure(workload, connections)))
                    except Unfit as reason:
                        print(f"left out: {reason}")
            if not arguments.only:
                for figures in alone.measure(place, model_url, seconds=arguments.seconds):
                    found.append(say(figures))
            options = registry.Options(
                database_url=place.database_url,
                model_url=model_url,
                model_pid=model_pid,
                port=arguments.port + 2,
                seconds=arguments.seconds,
                home=home,
            )
            for name in arguments.peers:
                for figures in registry.measure(name, options):
                    found.append(say(figures))


def say(figures: Figures) -> Figures:
    """Print as it comes, with what the machine gave at the time."""
    figures = replace(figures, core=core_speed())
    print(line(figures), flush=True)
    return figures


def names(text: str) -> list[str]:
    """What stands between commas."""
    return [name for name in text.split(",") if name]


def main() -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--only", type=names, default=[], help="workloads, by comma")
    parser.add_argument("--peers", type=names, default=list(registry.PEERS), help="by comma")
    parser.add_argument("--port", type=int, default=9200)
    parser.add_argument("--home", type=Path, help="kept; default: a folder that is removed")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not load.is_there():
        print("left out: it needs wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 0
    home = arguments.home or Path(tempfile.mkdtemp(prefix="treadle-bench-"))
    found: list[Figures] = []
    try:
        measure_all(arguments, home, found)
    finally:
        write(arguments.json, found)
        if arguments.home is None:
            shutil.rmtree(home, ignore_errors=True)
    return 0


def write(path: Path | None, found: Sequence[Figures]) -> None:
    """Keep the figures as JSON."""
    if path is not None:
        today = time.strftime("%Y-%m-%d")
        kept = {"date": today, "figures": [asdict(one) for one in found]}
        path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
