"""Schedules fire exactly once, whoever is killed."""

import asyncio
import random
from collections import Counter
from datetime import datetime, timedelta
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
SECONDS = 12


async def test_each_instant_fires_once_while_schedulers_are_killed(
    client: httpx.AsyncClient, start_worker: StartWorker
) -> None:
    await client.post("/v1/agents", json={"name": "greeter", "template": GREET})
    made: list[tuple[str, int]] = []
    for span in SPANS:
        body = {"agent": "greeter", "every": f"{span}s", "overlap": "allow", "catchup": "all"}
        made.append(((await client.post("/v1/schedules", json=body)).json()["id"], span))
    dice = random.Random(7)
    running = [start(start_worker, number) for number in range(2)]
    loop = asyncio.get_running_loop()
    deadline, number = loop.time() + SECONDS, 2
    while loop.time() < deadline:
        await asyncio.sleep(dice.uniform(1.0, 3.0))
        running.pop(dice.randrange(len(running))).kill()
        running.append(start(start_worker, number))
        number += 1
    await asyncio.sleep(4)  # whoever was started last catches up
    fired = 0
    for schedule, span in made:
        await client.patch(f"/v1/schedules/{schedule}", json={"enabled": False})
        items = (await client.get(f"/v1/schedules/{schedule}/fires?limit=200")).json()["items"]
        assert {item["outcome"] for item in items} == {"started"}
        instants = sorted(datetime.fromisoformat(item["at"]) for item in items)
        assert set(gaps(instants)) == {timedelta(seconds=span)}, "one was missed, or fired twice"
        assert len(instants) >= (SECONDS - 4) // span
        fired += len(instants)
    runs: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"&cursor={cursor}" if cursor else ""
        page = (await client.get(f"/v1/runs?agent=greeter&limit=200{query}")).json()
        runs += [run["id"] for run in page["items"]]
        cursor = page["next"]
    assert len(runs) == fired
    assert max(Counter(runs).values()) == 1


def start(start_worker: StartWorker, number: int) -> WorkerProcess:
    return start_worker(f"s{number}", role="scheduler")


def gaps(instants: list[datetime]) -> list[timedelta]:
    return [later - earlier for earlier, later in pairwise(instants)]
