"""A worker that sleeps past its lease and wakes up: all that it still wants to write is refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from tests.chaos.scenarios import SCENARIOS, People, Scenario, faults, start
from tests.chaos.sink import Arrival
from tests.chaos.world import LEASE_S, World

pytestmark = pytest.mark.chaos
WITHIN_S = 120.0
AFTERLIFE_S = 6.0
KINDS = [one for one in SCENARIOS if one.name in {"once", "chain", "map", "agent"}]


@contextmanager
def another_worker(around: World) -> Generator[None]:
    """A second one beside that of the supervisor."""
    command = [sys.executable, "-m", "treadle.platform.cli", "worker"]
    process = subprocess.Popen(
        command,
        env=around.service.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def test_a_zombie_writes_and_does_nothing(around: World) -> None:
    zombie = around.pid("worker")
    tags = {scenario.name: f"steady-zombie-{scenario.name}" for scenario in KINDS}
    stopped: list[float] = []

    def stop(arrival: Arrival) -> None:
        if arrival.path.endswith("/first") and not stopped:
            os.kill(zombie, signal.SIGSTOP)
            stopped.append(time.monotonic())

    around.sink.on_arrival = stop
    runs = {one.name: start(around, one, tags[one.name], ms=200) for one in KINDS}
    with another_worker(around):
        people = People(around)
        ends = {
            one.name: people.look_after(runs[one.name], tags[one.name], within_s=WITHIN_S)
            for one in KINDS
        }
        assert stopped, "nothing was under way"
        assert time.monotonic() - stopped[0] > LEASE_S
        before = [verdict(around, one, tags[one.name], ends[one.name]) for one in KINDS]
        os.kill(zombie, signal.SIGCONT)
        time.sleep(AFTERLIFE_S)
        assert [around.rest.run(run) for run in runs.values()] == list(ends.values())
        after = [verdict(around, one, tags[one.name], ends[one.name]) for one in KINDS]
    around.sink.on_arrival = None
    assert before == after == [[]] * len(KINDS)


def verdict(around: World, scenario: Scenario, tag: str, shown: dict[str, object]) -> list[str]:
    return faults(around, scenario, tag, shown, spare_calls=1)
