"""Files and batches: asked at leisure, kept over restarts, and nobody else's."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from time import time

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.server.conftest import random_checkpoint, served
from tests.model_runtime.server.test_chat import HELLO, post

from treadle.model_runtime.engine import EngineOptions
from treadle.model_runtime.server.app import ServerOptions
from treadle.model_runtime.server.lines import Answers, problems_of

CHAT = "/v1/chat/completions"
KEYS = ["one key", "another key"]


def line(name: str, *, url: str = CHAT, **changes: JsonValue) -> str:
    body: JsonValue = {**HELLO, **changes}
    return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": body})


async def upload(client: httpx.AsyncClient, lines: Sequence[str]) -> str:
    files = {"file": ("asked.jsonl", "\n".join(lines).encode())}
    response = await client.post("/v1/files", files=files, data={"purpose": "batch"})
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


async def begin(client: httpx.AsyncClient, lines: Sequence[str]) -> str:
    body = {
        "input_file_id": await upload(client, lines),
        "endpoint": CHAT,
        "completion_window": "24h",
        "metadata": {"for": "a test"},
    }
    response = await client.post("/v1/batches", json=body)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


async def ended(client: httpx.AsyncClient, batch: str) -> dict[str, JsonValue]:
    until = time() + 30
    while True:
        found: dict[str, JsonValue] = (await client.get(f"/v1/batches/{batch}")).json()
        if found["status"] in {"completed", "failed", "cancelled", "expired"}:
            return found
        assert time() < until, found
        await asyncio.sleep(0.02)


async def until_answered(client: httpx.AsyncClient, batch: str, count: int) -> None:
    """Until so many of its lines have answers."""
    until = time() + 30
    while (await client.get(f"/v1/batches/{batch}")).json()["request_counts"]["completed"] < count:
        assert time() < until
        await asyncio.sleep(0.005)


async def answers(client: httpx.AsyncClient, file: JsonValue) -> dict[str, JsonValue]:
    """The responses by the lines' names."""
    text = (await client.get(f"/v1/files/{file}/content")).text
    return {item["custom_id"]: item["response"] for item in map(json.loads, text.splitlines())}


async def test_each_line_is_answered_as_the_endpoint_answers(tmp_path: Path) -> None:
    async with served(random_checkpoint(), ServerOptions(state=tmp_path)) as client:
        lines = [line(f"r{number}", max_tokens=number + 1) for number in range(6)]
        batch = await ended(client, await begin(client, [*lines, line("bad", temperature=9)]))
        assert batch["status"] == "completed"
        assert batch["request_counts"] == {"total": 7, "completed": 6, "failed": 1}
        assert batch["metadata"] == {"for": "a test"}
        good = await answers(client, batch["output_file_id"])
        assert set(good) == {f"r{number}" for number in range(6)}
        alone = (await post(client, max_tokens=3)).json()
        for number in range(6):
            response = good[f"r{number}"]
            assert isinstance(response, dict)
            assert response["status_code"] == 200
            body = response["body"]
            assert isinstance(body, dict)
            assert isinstance(body["usage"], dict)
            assert body["usage"]["completion_tokens"] == number + 1
            if number == 2:
                assert body["choices"] == alone["choices"]
        bad = await answers(client, batch["error_file_id"])
        refused = bad["bad"]
        assert isinstance(refused, dict)
        assert refused["status_code"] == 400
        listed = (await client.get("/v1/batches")).json()
        assert [item["id"] for item in listed["data"]] == [batch["id"]]
        files = (await client.get("/v1/files", params={"purpose": "batch_output"})).json()
        assert len(files["data"]) == 2


@pytest.mark.slow
async def test_a_batch_goes_on_after_a_restart(tmp_path: Path) -> None:
    options = ServerOptions(state=tmp_path)
    lines = [line(f"r{number}", max_tokens=120, ignore_eos=True) for number in range(20)]
    async with served(random_checkpoint(), options) as client:
        batch = await begin(client, lines)
        await until_answered(client, batch, 4)
    kept = Answers(tmp_path / "batches", batch)
    before = kept.good.read_text(encoding="utf-8").splitlines()
    assert 4 <= len(before) < 20
    # What a crash leaves of the line that was being written.
    with kept.good.open("a", encoding="utf-8") as torn:
        torn.write('{"custom_id": "r19", "resp')
    async with served(random_checkpoint(), options) as client:
        found = await ended(client, batch)
        assert found["request_counts"] == {"total": 20, "completed": 20, "failed": 0}
        text = (await client.get(f"/v1/files/{found['output_file_id']}/content")).text
        assert text.splitlines()[: len(before)] == before
        assert len(await answers(client, found["output_file_id"])) == 20
        assert not kept.good.exists()


async def test_a_cancelled_batch_keeps_what_is_answered(tmp_path: Path) -> None:
    async with served(random_checkpoint(), ServerOptions(state=tmp_path)) as client:
        lines = [line(f"r{number}", max_tokens=300, ignore_eos=True) for number in range(30)]
        batch = await begin(client, lines)
        await until_answered(client, batch, 1)
        cancelled = (await client.post(f"/v1/batches/{batch}/cancel")).json()
        assert cancelled["status"] in {"cancelling", "cancelled"}
        found = await ended(client, batch)
        assert found["status"] == "cancelled"
        kept = await answers(client, found["output_file_id"])
        assert 1 <= len(kept) < 30
        again = await client.post(f"/v1/batches/{batch}/cancel")
        assert again.status_code == 409
        health = (await client.get("/healthz")).json()
        assert health["running"] == 0


async def test_others_come_before_a_batch(tmp_path: Path) -> None:
    """One place in the engine: a request that comes later is answered before the batch's rest."""
    limits = EngineOptions(blocks=64, block_size=16, step_tokens=64, running=1)
    options = ServerOptions(state=tmp_path)
    async with served(random_checkpoint(), options, limits) as client:
        lines = [line(f"r{number}", max_tokens=40, ignore_eos=True) for number in range(12)]
        batch = await begin(client, lines)
        await until_answered(client, batch, 1)
        assert (await post(client)).status_code == 200
        counts = (await client.get(f"/v1/batches/{batch}")).json()["request_counts"]
        assert counts["completed"] <= 4


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["not json"], "invalid_json_line"),
        (["[1]"], "invalid_json_line"),
        ([line("a"), line("a")], "duplicate_custom_id"),
        ([line("a", url="/v1/embeddings")], "mismatched_url"),
        ([line("a", stream=True)], "unsupported_value"),
        ([json.dumps({"url": CHAT, "body": {}})], "missing_required_parameter"),
        ([], "empty_file"),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], code: str) -> None:
    _, problems = problems_of(lines, CHAT)
    assert [problem["code"] for problem in problems] == [code]
    assert problems[0]["line"] == (len(lines) or None)


async def test_a_batch_with_wrong_lines_fails_whole(tmp_path: Path) -> None:
    async with served(random_checkpoint(), ServerOptions(state=tmp_path)) as client:
        found = await ended(client, await begin(client, [line("a"), "{"]))
        assert found["status"] == "failed"
        assert found["output_file_id"] is None
        assert isinstance(found["errors"], dict)
        assert isinstance(found["errors"]["data"], list)
        (problem,) = found["errors"]["data"]
        assert isinstance(problem, dict)
        assert (problem["line"], problem["code"]) == (2, "invalid_json_line")


async def test_files_and_batches_are_each_keys_own(tmp_path: Path) -> None:
    options = ServerOptions(keys=KEYS, state=tmp_path)
    async with served(random_checkpoint(), options) as client:
        client.headers["Authorization"] = f"Bearer {KEYS[0]}"
        batch = await begin(client, [line("a")])
        file = (await ended(client, batch))["output_file_id"]
        client.headers["Authorization"] = f"Bearer {KEYS[1]}"
        for path in (f"/v1/batches/{batch}", f"/v1/files/{file}", f"/v1/files/{file}/content"):
            assert (await client.get(path)).status_code == 404
        assert (await client.delete(f"/v1/files/{file}")).status_code == 404
        assert (await client.get("/v1/files")).json()["data"] == []
        assert (await client.get("/v1/batches")).json()["data"] == []
        client.headers["Authorization"] = f"Bearer {KEYS[0]}"
        assert (await client.delete(f"/v1/files/{file}")).json()["deleted"] is True
        assert (await client.get(f"/v1/files/{file}")).status_code == 404
        assert (await client.get("/v1/files/file-..%2f..%2fetc")).status_code == 404


async def test_a_batch_needs_a_file_that_is_there(tmp_path: Path) -> None:
    async with served(random_checkpoint(), ServerOptions(state=tmp_path)) as client:
        body = {"input_file_id": "file-0", "endpoint": CHAT, "completion_window": "24h"}
        assert (await client.post("/v1/batches", json=body)).status_code == 404
        wrong = await client.post(
            "/v1/files", files={"file": ("x", b"x")}, data={"purpose": "fine-tune"}
        )
        assert wrong.status_code == 400
        assert wrong.json()["error"]["param"] == "purpose"
