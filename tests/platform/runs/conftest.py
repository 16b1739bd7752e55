"""The real app on a database of its own, with a real broker."""

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
