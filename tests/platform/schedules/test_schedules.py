"""`/v1/schedules`: made, shown, changed, told, filled in."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.platform.conftest import NewTenant
from tests.platform.schedules.conftest import Make

pytestmark = pytest.mark.slow


async def test_a_schedule_is_made_shown_listed_and_deleted(
    client: httpx.AsyncClient, make: Make
) -> None:
    made = await make(cron="0 7 * * 1", timezone="Europe/Berlin", inputs={"who": "Ada"})
    assert made["agent"] == "greeter"
    assert (made["overlap"], made["catchup"], made["enabled"]) == ("skip", "none", True)
    assert datetime.fromisoformat(made["next_at"]).hour == 7
    assert (await client.get(f"/v1/schedules/{made['id']}")).json() == made
    listed = (await client.get("/v1/schedules?agent=greeter")).json()
    assert listed == {"items": [made], "next": None}
    assert (await client.delete(f"/v1/schedules/{made['id']}")).status_code == 204
    gone = await client.get(f"/v1/schedules/{made['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "schedule_not_found")


async def test_next_tells_instants_with_their_offset(client: httpx.AsyncClient, make: Make) -> None:
    made = await make(cron="30 2 * * *", timezone="Europe/Berlin")
    answer = (await client.get(f"/v1/schedules/{made['id']}/next?n=3")).json()
    assert answer["next"] is None
    found = [datetime.fromisoformat(item) for item in answer["items"]]
    assert len(found) == 3
    assert found == sorted(found)
    assert found[0] > datetime.now(UTC)
    assert all(at.utcoffset() in {timedelta(hours=1), timedelta(hours=2)} for at in found)
    once = await make(at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    items = (await client.get(f"/v1/schedules/{once['id']}/next")).json()["items"]
    assert len(items) == 1


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "cron"),
        ({"cron": "* * * * *", "every": "1h"}, "cron"),
        ({"cron": "99 * * * *"}, "cron"),
        ({"every": "soon"}, "every"),
        ({"every": "10ms"}, "every"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"at": "2030-01-01T00:00:00"}, "at"),
        ({"every": "1h", "timezone": "Mars/Base"}, "timezone"),
        ({"every": "1h", "inputs": {"whom": "x"}}, "inputs.whom"),
        ({"every": "1h", "inputs": {"who": 7}}, "inputs.who"),
        ({"every": "1h", "overlap": "maybe"}, "overlap"),
        ({"every": "1h", "color": "red"}, "color"),
    ],
)
async def test_what_is_wrong_is_refused_when_it_is_made(
    client: httpx.AsyncClient, agent: str, fields: dict[str, object], path: str
) -> None:
    answer = await client.post("/v1/schedules", json={"agent": agent, **fields})
    assert answer.status_code == 422, answer.text
    assert path in {issue["path"] for issue in answer.json()["issues"]}


async def test_an_agent_that_is_none_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/schedules", json={"agent": "nobody", "every": "1h"})
    assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found")


async def test_a_schedule_is_changed_paused_and_goes_on(
    client: httpx.AsyncClient, make: Make
) -> None:
    made = await make(cron="0 7 * * 1")
    path = f"/v1/schedules/{made['id']}"
    changed = (await client.patch(path, json={"every": "90s", "inputs": {"who": "Bo"}})).json()
    assert (changed["cron"], changed["every"], changed["inputs"]) == (None, "90s", {"who": "Bo"})
    paused = (await client.patch(path, json={"enabled": False})).json()
    assert paused["enabled"] is False
    assert paused["every"] == "90s"
    for wrong in ({"inputs": {"who": 1}}, {"cron": "x"}, {"every": None}, {"timezone": None}):
        assert (await client.patch(path, json=wrong)).status_code == 422
    assert (await client.get(path)).json() == paused


async def test_another_workspaces_schedule_is_404(new_tenant: NewTenant, make: Make) -> None:
    made = await make(every="1h")
    other = await new_tenant()
    for call in ("", "/next", "/fires"):
        answer = await other.client.get(f"/v1/schedules/{made['id']}{call}")
        assert answer.status_code == 404
    assert (await other.client.delete(f"/v1/schedules/{made['id']}")).status_code == 404


async def test_a_backfill_fires_each_instant_once(client: httpx.AsyncClient, make: Make) -> None:
    made = await make(cron="0 0 * * *", enabled=False)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    body = {"from": (today - timedelta(days=3)).isoformat(), "to": today.isoformat()}
    path = f"/v1/schedules/{made['id']}/backfill"
    first = await client.post(path, json=body)
    assert first.status_code == 202, first.text
    assert [fire["outcome"] for fire in first.json()["items"]] == ["started"] * 4
    assert (await client.post(path, json=body)).json()["items"] == []
    runs = (await client.get("/v1/runs?agent=greeter")).json()["items"]
    assert {run["id"] for run in runs} == {fire["run"] for fire in first.json()["items"]}
    fires = (await client.get(f"/v1/schedules/{made['id']}/fires?limit=3")).json()
    assert [fire["at"] for fire in fires["items"]] == [
        (today - timedelta(days=days)).isoformat() for days in range(3)
    ]
    rest = await client.get(f"/v1/schedules/{made['id']}/fires?cursor={fires['next']}")
    assert len(rest.json()["items"]) == 1


async def test_a_backfill_is_of_the_past_and_bounded(client: httpx.AsyncClient, make: Make) -> None:
    made = await make(every="1s", enabled=False)
    path = f"/v1/schedules/{made['id']}/backfill"
    now = datetime.now(UTC)
    future = {"from": now.isoformat(), "to": (now + timedelta(days=1)).isoformat()}
    assert (await client.post(path, json=future)).json()["code"] == "schedule_invalid"
    long = {"from": (now - timedelta(days=1)).isoformat(), "to": now.isoformat()}
    assert (await client.post(path, json=long)).json()["code"] == "backfill_too_long"


async def test_deleting_the_agent_deletes_its_schedules(
    client: httpx.AsyncClient, make: Make
) -> None:
    made = await make(every="1h")
    assert (await client.delete("/v1/agents/greeter")).status_code == 204
    assert (await client.get(f"/v1/schedules/{made['id']}")).status_code == 404
