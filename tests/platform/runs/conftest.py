"""The real app on a database of its own, and a worker's service in this process, without Celery."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from treadle.agents.values import JsonObject
from treadle.platform.db.database import Database
from treadle.platform.settings import Settings
from treadle.workers.process import WorkerService

Run = Callable[..., Awaitable[JsonObject]]


@pytest.fixture
def settings(fresh_database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=fresh_database_url,
        redis_url=redis_url,
        secret_key=SecretStr("secret of the tests"),
        egress_allow="127.0.0.1/32",
    )


@pytest.fixture
async def database(fresh_database_url: str) -> AsyncIterator[Database]:
    database = Database(fresh_database_url, pool_size=2)
    yield database
    await database.close()


@pytest.fixture
async def worker(settings: Settings, app: object) -> AsyncIterator[WorkerService]:
    """A worker beside the app; with nobody to pass bells on it finds its runs by sweeping."""
    worker = WorkerService(settings, name="w1", concurrency=8, sweep_s=0.05, ring_again_s=0.05)
    await worker.start()
    yield worker
    await worker.stop()


@pytest.fixture
def run(client: httpx.AsyncClient, worker: WorkerService) -> Run:
    """Run a template to its end."""

    async def run(template: str, **inputs: object) -> JsonObject:
        answer = await client.post(
            "/v1/runs", json={"template": template, "inputs": inputs, "wait_s": 20}
        )
        assert answer.status_code == 200, answer.text
        shown: JsonObject = answer.json()
        return shown

    return run
