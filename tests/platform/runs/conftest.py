"""The real app with a real broker, and a worker's host beside it on the same loop."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from treadle.platform.settings import Settings


@pytest.fixture
def settings(fresh_database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=fresh_database_url,
        redis_url=redis_url,
        secret_key=SecretStr("secret of the tests"),
    )
