"""`--chaos-seed`, `--chaos-full` (in tests/conftest.py), and the worlds that tests share."""

import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg.conninfo
import pytest
from tests.chaos.interceptor import SOCKET_NAME, Interceptor
from tests.chaos.scenarios import prepare
from tests.chaos.world import World, world

PATIENCE_S = 300.0
"""How long a caller goes on asking: on a busy machine a killed API is away for long."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything here is slow, and most of it is for `make chaos` alone."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.slow)
    if not config.getoption("--chaos-full"):
        left_out = {item for item in here if item.get_closest_marker("chaos")}
        config.hook.pytest_deselected(items=sorted(left_out, key=lambda item: item.nodeid))
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def chaos_seed(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> int:
    """The seed of the whole session; printed, so that a failure can be repeated."""
    seed = int(str(pytestconfig.getoption("--chaos-seed")))
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    if capture is not None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"\nchaos seed {seed}: repeat with --chaos-seed {seed}\n")
            sys.stdout.flush()
    return seed


@pytest.fixture(scope="session")
def is_full(pytestconfig: pytest.Config) -> bool:
    """Whether this is `make chaos`, and not its sample in `make test`."""
    return bool(pytestconfig.getoption("--chaos-full"))


@pytest.fixture
def chance(chaos_seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Chance of this test's own, from the session's seed."""
    return random.Random(f"{chaos_seed} {request.node.nodeid}")


@pytest.fixture(scope="module")
def around(chaos_seed: int) -> Iterator[World]:
    """An embedded service that the tests of a module share; each leaves it working."""
    with world(patience_s=PATIENCE_S) as found:
        prepare(found)
        yield found


@dataclass(frozen=True)
class Watched:
    """A world whose statements can be struck at."""

    world: World
    interceptor: Interceptor


@pytest.fixture(scope="module")
def watched(chaos_seed: int, postgres_url: str, _migrated: str) -> Iterator[Watched]:
    """The same on a database behind an interceptor."""
    name = f"chaos_{random.Random().getrandbits(64):016x}"
    with psycopg.connect(postgres_url, autocommit=True) as link:
        link.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_migrated}"'.encode())
    parts = psycopg.conninfo.conninfo_to_dict(postgres_url)
    folder = Path(tempfile.mkdtemp(prefix="treadle-chaos-pg-"))
    upstream = (
        Path(str(parts["host"])) / f"{SOCKET_NAME.rpartition('.')[0]}.{parts.get('port', 5432)}"
    )
    url = f"postgresql://{parts['user']}@/{name}?host={quote(str(folder), safe='/')}"
    try:
        with (
            Interceptor(folder, upstream) as interceptor,
            world(patience_s=PATIENCE_S, TREADLE_DATABASE_URL=url) as found,
        ):
            prepare(found)
            yield Watched(found, interceptor)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with psycopg.connect(postgres_url, autocommit=True) as link:
            link.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
