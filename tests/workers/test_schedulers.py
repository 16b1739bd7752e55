"""Schedules fire exactly once, whoever is killed."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from tests.workers.conftest import StartWorker, WorkerProcess

pytestmark = pytest.mark.slow

GREET = """\
treadle: 1
name: greet
version: 1.0.0
nodes:
  hello: {use: set, with: {text: "Hello"}}
outputs: {text: "${{ hello.text }}"}
"""
SPANS = (1, 1, 2, 2, 3, 3)
KILLS = 6
CATCH_UP_WITHIN_S = 60


async def test_each_instant_fires_once_while_schedulers_are_killed(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    await client.post("/v1/agents", json={"name": "greeter", "template": GREET})
    made: list[Schedule] = []
    for span in SPANS:
        body = {"agent": "greeter", "every": f"{span}s", "overlap": "allow", "catchup": "all"}
        shown = (await client.post("/v1/schedules", json=body)).json()
        first = datetime.fromisoformat(shown["next_at"])
        made.append(Schedule(shown["id"], timedelta(seconds=span), first))
    killed_at = await kill_schedulers(start_worker)
    fired = 0
    for schedule in made:
        await caught_up(client, schedule, killed_at)
        await client.patch(f"/v1/schedules/{schedule.id}", json={"enabled": False})
        items = await every(client, f"/v1/schedules/{schedule.id}/fires?")
        assert {item["outcome"] for item in items} == {"started"}
        instants = sorted(datetime.fromisoformat(item["at"]) for item in items)
        assert instants[0] == schedule.first
        assert instants[-1] > killed_at
        assert set(gaps(instants)) == {schedule.span}, "one was missed, or fired twice"
        fired += len(instants)
    runs = [run["id"] for run in await every(client, "/v1/runs?agent=greeter&")]
    assert len(runs) == fired
    assert max(Counter(runs).values()) == 1


@dataclass(frozen=True)
class Schedule:
    """A schedule that was made, and the first instant it fires at."""

    id: str
    span: timedelta
    first: datetime


async def kill_schedulers(start_worker: StartWorker) -> datetime:
    """Kill one of two schedulers again and again; tells when the last was killed.

    Most are killed while they fire, however long they took to start; some while they start.
    """
    dice = random.Random(7)
    running = [start(start_worker, number) for number in range(2)]
    for scheduler in running:
        await scheduler.ready()
    for number in range(2, 2 + KILLS):
        await asyncio.sleep(dice.uniform(0.5, 2.0))
        running.pop(dice.randrange(len(running))).kill()
        running.append(start(start_worker, number))
        if number % 3:
            await running[-1].ready()
    await asyncio.sleep(dice.uniform(0.5, 2.0))
    running[0].kill()
    killed_at = datetime.now(UTC)
    await running[1].ready()
    return killed_at


async def caught_up(client: httpx.AsyncClient, schedule: Schedule, moment: datetime) -> None:
    """Wait until a schedule has fired for an instant after a moment."""
    async with asyncio.timeout(CATCH_UP_WITHIN_S):
        while True:
            newest = await client.get(f"/v1/schedules/{schedule.id}/fires?limit=1")
            items = newest.json()["items"]
            if items and datetime.fromisoformat(items[0]["at"]) > moment:
                return
            await asyncio.sleep(0.1)


async def every(client: httpx.AsyncClient, path: str) -> list[dict[str, str]]:
    """All items of a list, page by page."""
    found: list[dict[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"&cursor={cursor}" if cursor else ""
        page = (await client.get(f"{path}limit=200{query}")).json()
        found += page["items"]
        cursor = page["next"]
    return found


def start(start_worker: StartWorker, number: int) -> WorkerProcess:
    return start_worker(f"s{number}", role="scheduler")


def gaps(instants: list[datetime]) -> list[timedelta]:
    return [later - earlier for earlier, later in pairwise(instants)]
