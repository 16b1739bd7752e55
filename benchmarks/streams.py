"""Event streams: 1,000 at once for five minutes, and the broker killed and started again meanwhile.

Fifty runs make events for as long as that; twenty readers follow each. Afterwards every reader must
have had every event of its run, in order, none twice, as the run's log says. A reader whose stream
breaks comes back with `Last-Event-ID`. Memory is that of the API process (PSS).

    python benchmarks/streams.py [--streams 1000] [--minutes 5]
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from stack import model, service
from stack.cpu import Meter, memory_mb
from stack.posting import Post, Refused, events, post_all

RUNS = 50
PAUSE_S = 5  # of the model `pause`
_EVENTS = """
SELECT seq FROM log WHERE run_id = %s AND entry->>'t' NOT LIKE 'call.%%' ORDER BY seq
"""


def template(passes: int) -> str:
    """A loop of model calls that take a pause each."""
    return (
        "treadle: 1\nname: talking\nversion: 1.0.0\nnodes:\n  talk:\n    use: loop\n"
        f"    max: {passes}\n    nodes:\n"
        "      say: {use: llm, with: {model: pause, prompt: 'n'}}\n"
        "    until: 1 == 2\n    on_max: end\n    output: ${{ say }}\n"
    )


@dataclass
class Reader:
    """One reader: what it has seen of its run."""

    run: str
    seen: list[int] = field(default_factory=list[int])
    breaks: int = 0

    async def follow(self, place: service.Place) -> None:
        """Until the run's last event."""
        while True:
            after = self.seen[-1] if self.seen else 0
            try:
                path = f"/v1/runs/{self.run}/events"
                async for number, kind in events(place.url, path, place.key, after=after):
                    if number is not None:
                        self.seen.append(number)
                    if kind in {"run.succeeded", "run.failed", "run.cancelled"}:
                        return
            except (OSError, asyncio.IncompleteReadError, Refused):
                pass  # as a browser does: again in a moment
            self.breaks += 1
            await asyncio.sleep(0.5)


def children(pid: int, name: str) -> list[int]:
    """Processes of the service by name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int(
                    (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                )
                comm = (entry / "comm").read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if comm.startswith(name) and (parent == pid or _is_below(parent, pid)):
                found.append(int(entry.name))
    return found


def _is_below(process: int, root: int) -> bool:
    while process > 1:
        if process == root:
            return True
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        process = int(stat.rpartition(")")[2].split()[1])
    return False


async def follow_all(place: service.Place, readers: list[Reader], minutes: float) -> None:
    """Let them read; kill the broker in the middle."""
    api = children(place.pid, "treadle-api")
    before = memory_mb(api)
    reading = asyncio.gather(*(reader.follow(place) for reader in readers))
    await asyncio.sleep(20)
    meter, opened = Meter([place.pid]), memory_mb(api)
    await asyncio.sleep(minutes * 60 * 0.4 - 20)
    for broker in children(place.pid, "valkey"):
        os.kill(broker, signal.SIGKILL)
    print("the broker was killed; its supervisor starts it again", flush=True)
    await reading
    usage, after = meter.read(), memory_mb(api)
    print(
        f"API process: {before:.0f} MiB before, {opened:.0f} with all streams open 20 s, "
        f"{after:.0f} at the end: {(opened - before) * 1024 / len(readers):.0f} KiB per stream"
    )
    print(f"CPU of the whole service: {usage.ours_s / usage.wall_s:.2f} cores")


def check(place: service.Place, readers: list[Reader]) -> bool:
    """Every reader has what the log has."""
    logs: dict[str, list[int]] = {}
    with service.owner(place) as connection:
        for run in {reader.run for reader in readers}:
            logs[run] = [row[0] for row in connection.execute(_EVENTS, (run,)).fetchall()]
    missed = sum(len(set(logs[reader.run]) - set(reader.seen)) for reader in readers)
    wrong = sum(reader.seen != logs[reader.run] for reader in readers)
    total = sum(len(reader.seen) for reader in readers)
    print(
        f"{len(readers)} streams, {total} events, {missed} missed, "
        f"{wrong} streams out of order or with an event twice, "
        f"{sum(reader.breaks for reader in readers)} reconnects"
    )
    return not (missed or wrong)


def main() -> int:
    """Measure and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--port", type=int, default=9220)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="treadle-bench-"))
    try:
        with model.endpoint(arguments.port + 1) as (url, _):
            service.write_models(home / "treadle", url)
            with service.running(
                home / "treadle", port=arguments.port, model_url=f"{url}/v1"
            ) as place:
                place.make_agent("talking", template(round(arguments.minutes * 60 / PAUSE_S)))
                post = Post("/v1/agents/talking/runs", place.key, {"inputs": {}})
                made = asyncio.run(post_all(place.url, [post] * RUNS, connections=4))
                runs = [str(run["id"]) for run in made]
                readers = [Reader(runs[i % RUNS]) for i in range(arguments.streams)]
                began = time.monotonic()
                asyncio.run(follow_all(place, readers, arguments.minutes))
                print(f"all streams ended after {time.monotonic() - began:.0f} s")
                is_met = check(place, readers)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
