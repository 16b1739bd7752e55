"""What our own server has and engines lack: responses, files and batches, traces."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from time import time

import pytest
from pydantic import JsonValue
from tests.model_runtime.engines.flagsets import ENGINES
from tests.model_runtime.engines.test_front import KEYED, Serving, serving
from tests.model_runtime.server.test_batches import line
from tests.model_runtime.server.test_operation import collector

from treadle.model_runtime.engines.spoken import RelayedSpoken
from treadle.model_runtime.engines.translation import Body
from treadle.model_runtime.parse import CallArguments, CallBegins, CallEnds, Content, Event

pytestmark = pytest.mark.slow  # each test starts an engine's process

ASKED: JsonValue = {"model": "m", "input": "2+2"}


def chat_line(name: str, text: str) -> str:
    return line(name, model="m", messages=[{"role": "user", "content": text}])


async def post(front: Serving, path: str, body: JsonValue) -> dict[str, JsonValue]:
    response = await front.client.post(path, json=body, headers=KEYED)
    assert response.status_code == 200, response.text
    found: dict[str, JsonValue] = response.json()
    return found


async def begin(front: Serving, lines: Sequence[str], *, endpoint: str) -> str:
    """A batch of these lines; its id."""
    files = {"file": ("asked.jsonl", "\n".join(lines).encode())}
    sent = await front.client.post(
        "/v1/files", files=files, data={"purpose": "batch"}, headers=KEYED
    )
    assert sent.status_code == 200, sent.text
    body = {"input_file_id": sent.json()["id"], "endpoint": endpoint, "completion_window": "24h"}
    return str((await post(front, "/v1/batches", body))["id"])


async def get(front: Serving, path: str) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = (await front.client.get(path, headers=KEYED)).json()
    return found


async def ended(front: Serving, batch: str) -> dict[str, JsonValue]:
    until = time() + 30
    while True:
        found = await get(front, f"/v1/batches/{batch}")
        if found["status"] in {"completed", "failed", "cancelled", "expired"}:
            return found
        assert time() < until, found
        await asyncio.sleep(0.02)


async def answers(front: Serving, file: JsonValue) -> dict[str, dict[str, JsonValue]]:
    """The responses by the lines' names."""
    text = (await front.client.get(f"/v1/files/{file}/content", headers=KEYED)).text
    return {
        item["custom_id"]: item["response"] for item in map(json.loads, text.strip().split("\n"))
    }


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_response_is_made_of_the_engines_chat(tmp_path: Path, engine: str) -> None:
    async with serving(tmp_path, engine) as front:
        found = await post(front, "/v1/responses", ASKED)
        assert (found["status"], found["model"]) == ("completed", "m")
        assert isinstance(found["output"], list)
        said = [
            (item["type"], item["content"][0]["text"])  # type: ignore[index, call-overload]  # JSON of a test
            for item in found["output"]
        ]
        assert said == [("reasoning", "2+2"), ("message", "fo\u2028ur")]
        assert found["usage"] == {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 8},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 14,
        }


async def test_a_streamed_response_ends_with_what_it_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        asked = {"model": "m", "input": "2+2", "stream": True}
        text = (await front.client.post("/v1/responses", json=asked, headers=KEYED)).text
        events = [
            json.loads(part.removeprefix("data: "))
            for part in text.split("\n")
            if part.startswith("data: ")
        ]
        assert [event["sequence_number"] for event in events] == [*range(len(events))]
        pieces = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
        assert "".join(pieces) == "fo\u2028ur"
        assert events[0]["type"] == "response.created"
        assert events[-1]["type"] == "response.completed"
        assert events[-1]["response"]["usage"]["total_tokens"] == 14


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("text", "status"), [("refuse", 400), ("busy", 429), ("page", 502)])
async def test_a_refused_response_keeps_its_status(
    tmp_path: Path, text: str, status: int, *, stream: bool
) -> None:
    async with serving(tmp_path) as front:
        asked = {"model": "m", "input": text, "stream": stream}
        found = await front.client.post("/v1/responses", json=asked, headers=KEYED)
        assert found.status_code == status
        kept = {"model": "m", "input": "x", "previous_response_id": "resp_1"}
        refused = await front.client.post("/v1/responses", json=kept, headers=KEYED)
        assert refused.json()["error"]["param"] == "previous_response_id"


async def test_a_batch_is_answered_by_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path, kept=tmp_path / "kept") as front:
        lines = [chat_line("good", "2+2"), chat_line("bad", "refuse"), chat_line("last", "3")]
        found = await ended(front, await begin(front, lines, endpoint="/v1/chat/completions"))
        assert found["status"] == "completed"
        assert found["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
        good = await answers(front, found["output_file_id"])
        assert set(good) == {"good", "last"}
        assert good["good"]["body"]["model"] == "m"  # type: ignore[index, call-overload]  # JSON of a test
        bad = await answers(front, found["error_file_id"])
        assert bad["bad"]["status_code"] == 400


async def test_a_batch_of_responses_is_answered_too(tmp_path: Path) -> None:
    async with serving(tmp_path, kept=tmp_path / "kept") as front:
        asked = json.dumps(
            {"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": ASKED}
        )
        found = await ended(front, await begin(front, [asked], endpoint="/v1/responses"))
        good = await answers(front, found["output_file_id"])
        assert good["r"]["body"]["object"] == "response"  # type: ignore[index, call-overload]  # JSON of a test


async def test_a_batch_waits_for_its_engine_and_outlives_the_server(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    async with serving(tmp_path / "first", broken=True, kept=kept) as front:
        batch = await begin(front, [chat_line("a", "2+2")], endpoint="/v1/chat/completions")
    async with serving(tmp_path / "second", kept=kept) as front:
        found = await ended(front, batch)
        assert found["request_counts"] == {"total": 1, "completed": 1, "failed": 0}


async def test_without_a_folder_there_are_no_batches(tmp_path: Path) -> None:
    async with serving(tmp_path) as front:
        assert (await front.client.get("/v1/batches", headers=KEYED)).status_code == 404


async def test_each_request_is_a_span_with_what_it_took(tmp_path: Path) -> None:
    with collector() as (url, got):
        async with serving(tmp_path, traces=url) as front:
            await front.chat("2+2")
            await front.chat("2+2", stream=True)
        spans = []
        while not got.empty():
            for resource in json.loads(got.get())["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    spans += scope["spans"]
    chats = [span for span in spans if span["name"] == "POST /v1/chat/completions"]
    assert len(chats) == 2
    for span in chats:
        values = {item["key"]: item["value"] for item in span["attributes"]}
        assert values["gen_ai.usage.output_tokens"] == {"intValue": "4"}
        assert values["http.response.status_code"] == {"intValue": "200"}
    assert [event["name"] for event in chats[1]["events"]] == ["first_token"]


async def test_calls_in_chunks_become_whole_items() -> None:
    """The stand-in calls no tools; these are the chunks that engines send."""

    def call(index: int, **function: str) -> JsonValue:
        named: JsonValue = {"id": f"c{index}"} if "name" in function else {}
        assert isinstance(named, dict)
        return {"tool_calls": [{"index": index, "function": {**function}, **named}]}

    deltas: list[JsonValue] = [
        {"role": "assistant", "content": "I look."},
        call(0, name="find", arguments=""),
        call(0, arguments='{"a"'),
        call(0, arguments=": 1}"),
        call(1, name="read", arguments="{}"),
    ]
    chunks: list[Body] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})

    async def sent() -> AsyncGenerator[Body]:
        for chunk in chunks:
            yield chunk

    spoken = RelayedSpoken("m", sent())
    await spoken.begin()
    events: list[Event] = [event async for several in spoken.read() for event in several]
    assert events == [
        Content("I look."),
        CallBegins(0, "find", "c0"),
        CallArguments(0, '{"a"'),
        CallArguments(0, ": 1}"),
        CallEnds(0),
        CallBegins(1, "read", "c1"),
        CallArguments(1, "{}"),
        CallEnds(1),
    ]
    assert spoken.finish == "tool_calls"
