"""`treadle up` as a whole, on real parts."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.platform.supervisor.installation import Installation, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(shared_root: Path) -> Iterator[Installation]:
    """An installation that the tests of this module share; each leaves it running."""
    installation = Installation(shared_root)
    installation.start()
    yield installation
    installation.stop()


def test_it_says_where_everything_is(running: Installation) -> None:
    assert running.has_said(f"ready at http://127.0.0.1:{running.port}")
    assert running.has_said(f"admin key: {running.root / 'admin.key'}")
    assert running.has_said("TREADLE_MODEL_URL")
    assert running.is_ready()


def test_the_databases_are_real(running: Installation) -> None:
    with psycopg.connect(running.record.database_url) as link:
        version = link.execute("SELECT current_setting('server_version_num')::int / 10000")
        assert version.fetchone() == (18,)
        for setting in ("fsync", "synchronous_commit"):
            assert link.execute(f"SHOW {setting}".encode()).fetchone() == ("on",)
        vector = "SELECT name FROM pg_available_extensions WHERE name = 'vector'"
        assert link.execute(vector).fetchone() == ("vector",)


def test_a_second_one_on_the_same_home_refuses(running: Installation) -> None:
    assert running.process is not None
    refused = running.command("up")
    assert refused.returncode == 1
    assert f"process {running.process.pid}, http://127.0.0.1:{running.port}" in refused.stderr
    assert running.is_ready()


def test_a_taken_port_is_named(running: Installation, root: Path) -> None:
    refused = Installation(root, port=running.port).command("up")
    assert refused.returncode == 1
    assert f"port {running.port}" in refused.stderr
    assert "TREADLE_PORT" in refused.stderr


def test_the_command_line_finds_the_service(running: Installation) -> None:
    made = running.command("keys", "create", "--workspace", "other", "--scopes", "runs:read")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("trd_")
    assert running.command("doctor").returncode == 0


@pytest.mark.parametrize("name", ["worker", "scheduler", "api", "valkey", "postgres"])
def test_a_killed_child_is_started_again(running: Installation, name: str) -> None:
    killed = running.child(name)
    killed.kill()
    wait_until(lambda: running.has_said(f"{name} was killed by SIGKILL"), "it is said")
    wait_until(lambda: _has_other_child(running, name, killed.pid), "a new child")
    wait_until(running.is_ready, "the service works again")


def test_a_killed_nursery_costs_a_restart(running: Installation) -> None:
    """The process that the others are forked from may die like any other."""
    nursery, api = running.child("nursery"), running.child("api")
    nursery.kill()
    wait_until(lambda: not api.is_running(), "its children are ended")
    wait_until(lambda: _has_other_child(running, "api", api.pid), "a new child")
    wait_until(running.is_ready, "the service works again")


def test_the_nursery_is_one_thread(running: Installation) -> None:
    """Forking with threads would copy their locks, locked."""
    assert running.child("nursery").num_threads() == 1


def test_idle_memory_is_modest(running: Installation) -> None:
    """In shares: what several processes have in common counts once."""
    used = sum(one.memory_full_info().pss for one in running.family())
    assert used < 400 * 1_000_000


def _has_other_child(running: Installation, name: str, pid: int) -> bool:
    try:
        return running.child(name).pid != pid
    except StopIteration:
        return False


def test_with_urls_nothing_is_embedded(running: Installation, root: Path) -> None:
    record = running.record
    with psycopg.connect(record.database_url, autocommit=True) as link:
        link.execute("CREATE DATABASE external")
    urls = {
        "TREADLE_DATABASE_URL": record.database_url.replace("/treadle?", "/external?"),
        "TREADLE_REDIS_URL": record.redis_url,
    }
    external = Installation(root, env=urls)
    external.start()
    try:
        assert external.is_ready()
        assert not (external.root / "postgres").exists()
        assert not (external.root / "valkey").exists()
        names = {process.name() for process in external.processes()}
        assert not names & {"postgres", "valkey-server"}
    finally:
        external.stop()


def test_data_survives_a_killed_supervisor(root: Path) -> None:
    installation = Installation(root)
    installation.start()
    with installation.client() as client:
        made = client.create_key("survivor")
    assert installation.signal(signal.SIGKILL) == -signal.SIGKILL

    installation.start()
    try:
        with installation.client() as client:
            assert made.id in {key.id for key in client.list_keys().items}
    finally:
        assert installation.signal(signal.SIGTERM) == 0
    assert installation.has_said("stopped")
    assert installation.processes() == []


def test_a_killed_supervisor_takes_its_children_along(root: Path) -> None:
    installation = Installation(root)
    installation.start()
    installation.signal(signal.SIGKILL)
    wait_until(lambda: installation.processes() == [], "no process is left")


def test_ctrl_c_during_the_start_stops_it(root: Path) -> None:
    installation = Installation(root)
    installation.begin()
    wait_until(lambda: installation.has_said("starting PostgreSQL"), "it has begun")
    assert installation.signal(signal.SIGINT) == 0
    assert installation.processes() == []
