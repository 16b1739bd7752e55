"""Batches: one run per row, results beside the rows, and again what failed."""

import asyncio
import csv
import io
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.platform.batches.texts import SHOUT
from tests.platform.conftest import NewTenant

from treadle.platform.db.database import Database
from treadle.workers.process import WorkerService

pytestmark = pytest.mark.slow

CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/x-ndjson"}
ROWS = 'text,times,tags\nada,2,"[""x""]"\nbo,zero,\ncy,7,\ndi,,\n'


@pytest.fixture
async def agent(client: httpx.AsyncClient) -> str:
    made = await client.post("/v1/agents", json={"name": "shouter", "template": SHOUT})
    assert made.status_code == 201, made.text
    return "shouter"


async def send(
    client: httpx.AsyncClient, agent: str, content: str, headers: dict[str, str]
) -> dict[str, Any]:
    path = f"/v1/agents/{agent}/batches"
    answer = await client.post(path, content=content.encode(), headers=headers)
    assert answer.status_code == 202, answer.text
    batch: dict[str, Any] = answer.json()
    return batch


async def ended(client: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while True:
            shown: dict[str, Any] = (await client.get(f"/v1/batches/{batch['id']}")).json()
            if shown["status"] != "running":
                return shown
            await asyncio.sleep(0.05)


async def results(
    client: httpx.AsyncClient, batch: dict[str, Any], accept: str
) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/batches/{batch['id']}/results", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(accept)
    if accept == "text/csv":
        return list(csv.DictReader(io.StringIO(answer.text, newline="")))
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_every_row_becomes_a_run_and_bad_rows_are_kept(
    client: httpx.AsyncClient, worker: WorkerService, agent: str
) -> None:
    assert worker is not None
    batch = await send(client, agent, ROWS, CSV)
    assert (batch["total"], batch["agent"]) == (4, "shouter")
    shown = await ended(client, batch)
    assert (shown["status"], shown["counts"]) == ("failed", {"succeeded": 2, "failed": 2})
    rows = await results(client, batch, "text/csv")
    assert list(rows[0]) == [
        "text", "times", "tags", "run", "status", "error", "outputs.text", "outputs.tags",
    ]  # fmt: skip
    assert [row["status"] for row in rows] == ["succeeded", "failed", "failed", "succeeded"]
    assert (rows[0]["text"], rows[0]["outputs.text"]) == ("ada", "ADA")
    assert (rows[0]["tags"], rows[0]["outputs.tags"]) == ('["x"]', '["x"]')
    assert (rows[1]["run"], rows[1]["times"]) == ("", "zero")
    assert "no JSON; plain text is for inputs of type string" in rows[1]["error"]
    assert rows[2]["run"] != ""
    assert rows[2]["error"] != ""
    lines = await results(client, batch, "application/x-ndjson")
    assert lines[3]["outputs"] == {"text": "DI", "tags": None}
    assert lines[3]["run"] == rows[3]["run"]


async def test_a_retry_runs_only_what_failed(
    client: httpx.AsyncClient, worker: WorkerService, agent: str
) -> None:
    assert worker is not None
    batch = await send(client, agent, ROWS, CSV)
    await ended(client, batch)
    before = await results(client, batch, "text/csv")
    mended = SHOUT.replace("1.0.0", "1.0.1").replace("inputs.times - 7", "inputs.times")
    assert (await client.patch("/v1/agents/shouter", json={"template": mended})).status_code == 200
    again = await client.post(f"/v1/batches/{batch['id']}/retry")
    assert again.status_code == 202, again.text
    assert (await ended(client, batch))["counts"] == {"succeeded": 3, "failed": 1}
    after = await results(client, batch, "text/csv")
    is_new = [a["run"] != b["run"] for a, b in zip(before, after, strict=True)]
    assert is_new == [False, False, True, False]
    run = (await client.get(f"/v1/runs/{after[2]['run']}")).json()
    assert run["root_id"] == before[2]["run"]


async def test_a_retry_of_nothing_is_409(
    client: httpx.AsyncClient, worker: WorkerService, agent: str
) -> None:
    assert worker is not None
    batch = await send(client, agent, '{"text": "a"}\n{"text": "b"}', LINES)
    assert (await ended(client, batch))["status"] == "succeeded"
    again = await client.post(f"/v1/batches/{batch['id']}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "nothing_failed")


async def test_a_batch_stands_behind_other_runs_and_is_one_statement_per_chunk(
    client: httpx.AsyncClient, agent: str, database: Database
) -> None:
    content = "text\n" + "".join(f"row {n}\n" for n in range(1200))
    batch = await send(client, agent, content, CSV)
    assert batch["counts"] == {"queued": 1200}
    async with database.as_engine() as connection:
        query = text("SELECT DISTINCT priority, trigger FROM runs")
        assert (await connection.execute(query)).all() == [(-10, "batch")]
    rows = await results(client, batch, "text/csv")
    assert [row["text"] for row in rows] == [f"row {n}" for n in range(1200)]


async def test_what_is_no_table_is_refused(client: httpx.AsyncClient, agent: str) -> None:
    path = f"/v1/agents/{agent}/batches"
    wrong = await client.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert wrong.status_code == 415
    column = await client.post(path, content=b"txt\na\n", headers=CSV)
    assert (column.status_code, column.json()["code"]) == (422, "batch_invalid")
    assert column.json()["issues"][0]["path"] == "txt"
    large = await client.post(path, content=b"text\n" + b"a" * 1024 * 1024, headers=CSV)
    assert large.status_code == 413
    nobody = await client.post("/v1/agents/nobody/batches", content=b"text\na\n", headers=CSV)
    assert nobody.status_code == 404


async def test_the_same_key_makes_one_batch(client: httpx.AsyncClient, agent: str) -> None:
    headers = {**CSV, "Idempotency-Key": "k1"}
    first = await send(client, agent, "text\na\n", headers)
    assert await send(client, agent, "text\na\n", headers) == first
    assert len((await client.get("/v1/runs")).json()["items"]) == 1


async def test_another_workspaces_batch_is_404(
    client: httpx.AsyncClient, agent: str, new_tenant: NewTenant
) -> None:
    batch = await send(client, agent, "text\na\n", CSV)
    other = await new_tenant()
    for call in ("", "/results"):
        answer = await other.client.get(f"/v1/batches/{batch['id']}{call}")
        assert answer.status_code == 404
    assert (await other.client.post(f"/v1/batches/{batch['id']}/retry")).status_code == 404
