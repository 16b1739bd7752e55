"""What becomes of instants: overlap, catch-up, jitter, failures."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.platform.schedules.conftest import Make, Miss

from treadle.platform.db.database import Database
from treadle.platform.engine.ids import RunId
from treadle.platform.schedules.clock import Clock
from treadle.platform.schedules.firing import MOST_FAILURES

pytestmark = pytest.mark.slow


async def fires(client: httpx.AsyncClient, schedule: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/schedules/{schedule['id']}/fires")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items[::-1]


async def outcomes(client: httpx.AsyncClient, schedule: dict[str, Any]) -> list[str]:
    return [fire["outcome"] for fire in await fires(client, schedule)]


async def end_runs(database: Database, status: str) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(
            text("UPDATE runs SET status = :s, finished_at = now() WHERE finished_at IS NULL"),
            {"s": status},
        )


async def test_a_due_schedule_starts_one_run(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss, rung: list[RunId]
) -> None:
    made = await make(every="1h", inputs={"who": "Ada"}, catchup="latest")
    await clock.fire_due()
    assert await fires(client, made) == []
    await miss(made["id"], "1 hour")
    await clock.fire_due()
    await clock.fire_due()
    (fire,) = await fires(client, made)
    run = (await client.get(f"/v1/runs/{fire['run']}")).json()
    assert (run["status"], run["inputs"], run["agent"]) == ("queued", {"who": "Ada"}, "greeter")
    assert [str(run) for run in rung] == [fire["run"]]


@pytest.mark.parametrize(
    ("catchup", "ago", "expected"),
    [("none", "1 hour", 1), ("latest", "1 hour", 1), ("all", "95 seconds", 9)],
)
async def test_missed_instants_are_caught_up_as_asked(
    client: httpx.AsyncClient,
    clock: Clock,
    make: Make,
    miss: Miss,
    catchup: str,
    ago: str,
    expected: int,
) -> None:
    made = await make(every="10s", overlap="allow", catchup=catchup)
    await miss(made["id"], ago)
    await clock.fire_due()
    assert expected <= len(await fires(client, made)) <= expected + 1


async def test_without_catchup_what_is_long_past_is_missed(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss
) -> None:
    # A rule whose newest instant is months ago at any time but the first minute of a year.
    made = await make(cron="0 0 1 1 *")
    await miss(made["id"], "600 days")
    await clock.fire_due()
    assert await fires(client, made) == []
    caught = await make(cron="0 0 1 1 *", catchup="latest")
    await miss(caught["id"], "600 days")
    await clock.fire_due()
    assert await outcomes(client, caught) == ["started"]


async def test_skip_lets_nothing_overlap(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss, database: Database
) -> None:
    made = await make(every="1s")
    await miss(made["id"], "1 second")
    await clock.fire_due()
    await asyncio.sleep(1.1)
    await clock.fire_due()
    assert await outcomes(client, made) == ["started", "skipped"]
    await end_runs(database, "succeeded")
    await asyncio.sleep(1.1)
    await clock.fire_due()
    assert await outcomes(client, made) == ["started", "skipped", "started"]


async def test_queued_instants_run_one_after_the_other(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss, database: Database
) -> None:
    made = await make(every="10s", overlap="queue", catchup="all")
    await miss(made["id"], "29 seconds")
    await clock.fire_due()
    found = await outcomes(client, made)
    assert found[0] == "started"
    assert set(found[1:]) == {"queued"}
    for number in range(1, len(found)):
        await end_runs(database, "succeeded")
        await clock.count_ends()
        started = [outcome for outcome in await outcomes(client, made) if outcome == "started"]
        assert len(started) == number + 1
    runs = (await client.get("/v1/runs?agent=greeter")).json()["items"]
    assert len(runs) == len(found)


async def test_cancel_ends_the_run_that_goes_on(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss
) -> None:
    made = await make(every="1s", overlap="cancel")
    await miss(made["id"], "1 second")
    await clock.fire_due()
    await asyncio.sleep(1.1)
    await clock.fire_due()
    statuses = [
        (await client.get(f"/v1/runs/{fire['run']}")).json()["status"]
        for fire in await fires(client, made)
    ]
    *before, last = statuses  # more than one where a second passed before it fired
    assert set(before) == {"cancelled"}
    assert last == "queued"


async def test_jitter_delays_the_run_and_not_the_instant(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss, database: Database
) -> None:
    made = await make(every="1h", jitter="10d", catchup="latest")
    await miss(made["id"], "61 minutes")
    await clock.fire_due()
    (fire,) = await fires(client, made)
    async with database.as_engine() as connection:
        query = text("SELECT wake_at - created_at AS later FROM runs WHERE id = :id")
        later = (await connection.execute(query, {"id": fire["run"]})).scalar_one()
    assert later is not None
    assert 0 < later.total_seconds() < 10 * 24 * 3600


async def test_what_fails_too_often_is_disabled_with_a_reason(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss, database: Database
) -> None:
    made = await make(every="1h", overlap="allow", catchup="all")
    await miss(made["id"], f"{MOST_FAILURES} hours")
    await clock.fire_due()
    await end_runs(database, "failed")
    await clock.count_ends()
    shown = (await client.get(f"/v1/schedules/{made['id']}")).json()
    assert shown["enabled"] is False
    assert "in a row did not succeed" in shown["disabled_reason"]
    again = (await client.patch(f"/v1/schedules/{made['id']}", json={"enabled": True})).json()
    assert (again["enabled"], again["failures"], again["disabled_reason"]) == (True, 0, None)


async def test_inputs_that_no_longer_fit_are_refused_and_told(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss
) -> None:
    made = await make(every="1h", inputs={"who": "Ada"}, catchup="latest")
    other = (
        "treadle: 1\nname: greet\nversion: 2.0.0\nnodes:\n  a: {use: set, with: {x: 1}}\n"
        "outputs: {x: '${{ a.x }}'}\n"
    )
    changed = await client.patch("/v1/agents/greeter", json={"template": other})
    assert changed.status_code == 200
    await miss(made["id"], "61 minutes")
    await clock.fire_due()
    (fire,) = await fires(client, made)
    assert (fire["outcome"], fire["run"]) == ("refused", None)
    assert "who" in fire["reason"]


async def test_many_clocks_fire_each_instant_once(
    client: httpx.AsyncClient, clock: Clock, make: Make, miss: Miss
) -> None:
    made = [await make(every="1h", overlap="allow", catchup="all") for _ in range(12)]
    for schedule in made:
        await miss(schedule["id"], "5 hours")
    await asyncio.gather(*(clock.fire_due() for _ in range(4)))
    for schedule in made:
        found = [fire["at"] for fire in await fires(client, schedule)]
        assert len(found) == len(set(found)) == 5
