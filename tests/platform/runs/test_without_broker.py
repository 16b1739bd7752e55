"""Runs are accepted and carried out although the broker is away; it only hurries."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.platform.runs.conftest import Run

from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

TEXT = "treadle: 1\nname: noop\nversion: 1.0.0\nnodes:\n  a: {use: set, with: {x: 1}}\n"


@pytest.fixture
def settings(fresh_database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=fresh_database_url,
        redis_url="redis://127.0.0.1:9",  # nobody listens on the discard port
        secret_key=SecretStr("secret of the tests"),
    )


async def test_a_run_is_accepted_and_carried_out(run: Run) -> None:
    for _ in range(3):
        assert (await run(TEXT))["status"] == "succeeded"
