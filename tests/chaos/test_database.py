"""PostgreSQL dies, throws everybody out, is full, or cannot be reached."""

import random
import signal
import sys
import time
from contextlib import suppress

import psycopg
import pytest
from tests.chaos.asking import Asking, seconds_until_ready
from tests.chaos.conftest import Watched
from tests.chaos.load import Load
from tests.chaos.world import World

RECOVERS_WITHIN_S = 15.0
SLACK = 4.0  # other programs have this machine's cores, too
MOST_CONNECTIONS = 300


def test_an_immediate_stop_loses_nothing(
    around: World, chance: random.Random, *, is_full: bool
) -> None:
    load, recovered = Load(around), list[float]()
    with Asking(around) as asking:
        for _ in range(20 if is_full else 1):
            load.add()
            time.sleep(chance.uniform(0.2, 1.0))
            around.service.child("postgres").send_signal(signal.SIGQUIT)
            time.sleep(0.3)
            recovered.append(seconds_until_ready(around))
    sys.stdout.write(f"ready again after {[round(one, 1) for one in recovered]} s\n")
    assert load.verdict() == []
    assert asking.faults() == []
    assert max(recovered) < RECOVERS_WITHIN_S * SLACK


@pytest.mark.chaos
def test_a_storm_of_lost_connections_loses_nothing(around: World, chance: random.Random) -> None:
    load = Load(around)
    with Asking(around) as asking:
        for _ in range(20):
            load.add()
            with psycopg.connect(around.service.record.database_url, autocommit=True) as link:
                link.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
            time.sleep(chance.uniform(0.1, 0.8))
    assert load.verdict() == []
    assert asking.faults() == []


@pytest.mark.chaos
def test_a_database_without_a_free_connection_only_delays(around: World) -> None:
    load, held = Load(around), list[psycopg.Connection]()
    load.add()
    with Asking(around) as asking:
        for _ in range(3):
            with suppress(psycopg.OperationalError):
                while len(held) < MOST_CONNECTIONS:
                    held.append(psycopg.connect(around.service.record.database_url))
            time.sleep(3)
            for link in held:
                link.close()
            held.clear()
            load.add()
    assert load.verdict() == []
    assert asking.faults() == []


@pytest.mark.chaos
@pytest.mark.parametrize("seconds", [1.0, 8.0, 25.0])
def test_a_database_out_of_reach_only_delays(watched: Watched, seconds: float) -> None:
    """The last one is longer than a lease."""
    around, load = watched.world, Load(watched.world)
    load.add()
    time.sleep(0.5)
    with Asking(around) as asking:
        watched.interceptor.is_severed = True
        watched.interceptor.cut_all()
        time.sleep(seconds)
        watched.interceptor.is_severed = False
        time.sleep(1.0)
    assert load.verdict() == []
    assert asking.faults() == []


@pytest.mark.chaos
def test_a_slow_database_only_delays(watched: Watched) -> None:
    watched.interceptor.delay_s = 0.2
    try:
        load = Load(watched.world)
        load.add()
        assert load.verdict() == []
    finally:
        watched.interceptor.delay_s = 0.0
