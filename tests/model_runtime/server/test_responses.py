"""`/v1/responses`, its basic form."""

import json

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.server.conftest import random_checkpoint, served
from tests.model_runtime.server.test_chat import HELLO, PERSON, answer
from tests.model_runtime.server.test_tools import template_of

from treadle.model_runtime.parse import DEEPSEEK_V31

Body = dict[str, JsonValue]
HI: Body = {
    "model": "random",
    "input": "Hello there.",
    "max_output_tokens": 8,
    "temperature": 0,
}
WEATHER: JsonValue = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Rome", "Oslo"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


async def post(client: httpx.AsyncClient, **changes: JsonValue) -> httpx.Response:
    return await client.post("/v1/responses", json={**HI, **changes})


async def streamed(client: httpx.AsyncClient, **changes: JsonValue) -> list[Body]:
    response = await post(client, stream=True, **changes)
    assert response.status_code == 200, response.text
    events: list[Body] = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n", 1)
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def text_of(found: JsonValue) -> str:
    assert isinstance(found, dict)
    assert isinstance(found["output"], list)
    (item,) = found["output"]
    assert isinstance(item, dict)
    assert isinstance(item["content"], list)
    (part,) = item["content"]
    assert isinstance(part, dict)
    return str(part["text"])


async def test_an_answer_says_what_the_chat_says(client: httpx.AsyncClient) -> None:
    found = (await post(client)).json()
    chat = await answer(client, **HELLO)
    assert text_of(found) == chat.texts[0]
    assert found["object"] == "response"
    assert found["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}
    assert found["usage"]["output_tokens"] == 8
    assert found["usage"]["input_tokens"] == chat.usage.prompt_tokens


async def test_a_stream_tells_the_same_in_numbered_events(client: httpx.AsyncClient) -> None:
    whole = (await post(client, max_output_tokens=30)).json()
    events = await streamed(client, max_output_tokens=30)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [str(event["type"]).removeprefix("response.") for event in events]
    assert names[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert set(names[4:-4]) == {"output_text.delta"}
    assert names[-4:] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    text = "".join(
        str(event["delta"]) for event in events if event["type"] == "response.output_text.delta"
    )
    assert text == text_of(whole) == text_of(events[-1]["response"])


async def test_a_conversation_with_calls_is_read(client: httpx.AsyncClient) -> None:
    items: list[JsonValue] = [
        {"role": "user", "content": [{"type": "input_text", "text": "How is Rome?"}]},
        {"type": "reasoning", "summary": []},
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "weather",
            "arguments": '{"city":"Rome"}',
        },
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ]
    response = await post(client, input=items, instructions="Be brief.", tools=[WEATHER])
    assert response.status_code == 200, response.text
    assert response.json()["usage"]["input_tokens"] > 100


async def test_a_required_function_is_an_item() -> None:
    async with served(random_checkpoint(template_of(DEEPSEEK_V31))) as client:
        asked: Body = {
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "name": "weather"},
            "parallel_tool_calls": False,
            "max_output_tokens": 400,
        }
        (item,) = (await post(client, **asked)).json()["output"]
        assert (item["type"], item["name"]) == ("function_call", "weather")
        assert json.loads(item["arguments"])["city"] in {"Rome", "Oslo"}
        events = await streamed(client, **asked)
        pieces = [
            str(event["delta"])
            for event in events
            if event["type"] == "response.function_call_arguments.delta"
        ]
        assert "".join(pieces) == item["arguments"]
        assert events[-1]["type"] == "response.completed"


async def test_a_schema_is_followed(client: httpx.AsyncClient) -> None:
    form: JsonValue = {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}
    found = (await post(client, text={"format": form}, max_output_tokens=200)).json()
    assert set(json.loads(text_of(found))) == {"name", "old"}
    assert found["status"] == "completed"


async def test_reasoning_is_an_item_of_its_own() -> None:
    async with served(random_checkpoint("{{ messages[0].content }}<think>\n")) as client:
        found = (await post(client)).json()
        (item,) = found["output"]
        assert item["type"] == "reasoning"
        assert item["content"][0]["type"] == "reasoning_text"
        told = found["usage"]["output_tokens"]
        assert found["usage"]["output_tokens_details"] == {"reasoning_tokens": told}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"bogus": 1}, "bogus"),
        ({"input": []}, "input"),
        ({"input": [{"type": "web_search_call"}]}, "input.0"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, change: Body, param: str) -> None:
    response = await post(client, **change)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
