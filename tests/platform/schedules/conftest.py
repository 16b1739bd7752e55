"""The app and a worker on a database of its own, and a clock that is moved by hand."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.platform.runs.conftest import database, settings, worker

from treadle.platform.db.database import Database
from treadle.platform.engine.ids import RunId
from treadle.platform.runs.launch import Launcher
from treadle.platform.schedules.clock import Clock
from treadle.platform.templates.library import TemplateLibrary

__all__ = ["database", "settings", "worker"]

GREET = """\
treadle: 1
name: greet
version: 1.0.0
inputs:
  who: {type: string, default: world}
nodes:
  hello: {use: set, with: {text: "Hello ${{ inputs.who }}"}}
outputs: {text: "${{ hello.text }}"}
"""

Make = Callable[..., Awaitable[dict[str, Any]]]
Miss = Callable[[str, str], Awaitable[None]]


@pytest.fixture
async def agent(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/agents", json={"name": "greeter", "template": GREET})
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier


@pytest.fixture
def make(client: httpx.AsyncClient, agent: str) -> Make:
    """Make a schedule of the agent."""

    async def make(**fields: object) -> dict[str, Any]:
        answer = await client.post("/v1/schedules", json={"agent": "greeter", **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return make


@pytest.fixture
def miss(database: Database) -> Miss:
    """Let a schedule's next instant have been some time ago, as if no scheduler had run."""

    async def miss(schedule: str, ago: str) -> None:
        async with database.engine.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE schedules SET next_at = now() - CAST(:ago AS interval) WHERE id = :id"
                ),
                {"ago": ago, "id": schedule},
            )

    return miss


@pytest.fixture
def rung() -> list[RunId]:
    return []


@pytest.fixture
def clock(database: Database, rung: list[RunId]) -> Clock:
    return Clock(database, Launcher(TemplateLibrary()), on_started=rung.extend)
