"""Tools: called when they must be, in each family's own format, and told in words where none is."""

import json

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.server.conftest import TOKENIZER, random_checkpoint, served
from tests.model_runtime.server.test_chat import answer, chunks

from treadle.model_runtime.parse import (
    DEEPSEEK_V3,
    DEEPSEEK_V31,
    KIMI_K2,
    AnswerParser,
    CallFormat,
)
from treadle.model_runtime.request import FinishReason, Progress, Usage
from treadle.model_runtime.server.chat import Answer as ChatAnswer

WEATHER: JsonValue = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Rome", "Oslo"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
STOP: JsonValue = {"type": "function", "function": {"name": "stop"}}
ONE: dict[str, JsonValue] = {
    "tools": [WEATHER],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "max_tokens": 400,
    "temperature": 1,
    "seed": 3,
}


def template_of(calls: CallFormat) -> str:
    """One that teaches the format, which is all that is looked at."""
    taught = "".join((calls.opens, calls.begins, *calls.separators))
    return "{# " + taught + " tools #}{{ messages[-1].content }}\n"


TEMPLATES = {
    "words": None,
    "deepseek_v3": template_of(DEEPSEEK_V3),
    "deepseek_v31": template_of(DEEPSEEK_V31),
    "kimi_k2": template_of(KIMI_K2),
}


@pytest.mark.parametrize("name", TEMPLATES)
async def test_a_required_call_fits_the_tools_schema(name: str) -> None:
    template = TEMPLATES[name]
    checkpoint = random_checkpoint() if template is None else random_checkpoint(template)
    async with served(checkpoint) as client:
        found = await answer(client, **ONE)
        (call,) = found.choices[0].message.tool_calls
        assert isinstance(call, dict)
        function = call["function"]
        assert isinstance(function, dict)
        assert function["name"] == "weather"
        assert json.loads(str(function["arguments"]))["city"] in {"Rome", "Oslo"}
        assert found.choices[0].finish_reason == "tool_calls"
        assert found.texts == [None]


async def test_a_streamed_call_adds_up(client: httpx.AsyncClient) -> None:
    parts = await chunks(client, **ONE)
    deltas = [part.choices[0].delta.get("tool_calls") for part in parts]
    pieces = [delta[0] for delta in deltas if isinstance(delta, list)]
    functions = [piece["function"] for piece in pieces if isinstance(piece, dict)]
    arguments = "".join(
        str(function.get("arguments", "")) for function in functions if isinstance(function, dict)
    )
    assert json.loads(arguments)["city"] in {"Rome", "Oslo"}
    ids = [piece["id"] for piece in pieces if isinstance(piece, dict) and "id" in piece]
    assert len(ids) == 1
    assert parts[-1].choices[0].finish_reason == "tool_calls"


async def test_a_named_tool_is_the_one_that_is_called(client: httpx.AsyncClient) -> None:
    chosen: JsonValue = {"type": "function", "function": {"name": "stop"}}
    found = await answer(client, **{**ONE, "tools": [WEATHER, STOP], "tool_choice": chosen})
    (call,) = found.choices[0].message.tool_calls
    assert isinstance(call, dict)
    assert isinstance(call["function"], dict)
    assert call["function"]["name"] == "stop"


@pytest.mark.parametrize(
    "change",
    [
        {"tool_choice": "required", "tools": []},
        {"tool_choice": {"type": "function", "function": {"name": "other"}}, "tools": [WEATHER]},
    ],
)
async def test_a_tool_that_is_not_there_cannot_be_required(
    client: httpx.AsyncClient, change: dict[str, JsonValue]
) -> None:
    body = {"model": "random", "messages": [{"role": "user", "content": "x"}], **change}
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "tool_choice"


async def test_results_are_told_in_words_to_a_template_that_knows_only_text(
    client: httpx.AsyncClient,
) -> None:
    call: JsonValue = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
    }
    messages: list[JsonValue] = [
        {"role": "user", "content": "How is Rome?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    found = await answer(client, messages=messages, tools=[WEATHER])
    assert found.usage.prompt_tokens > len("How is Rome? sunny")


async def test_a_reasoning_comes_before_the_required_call() -> None:
    template = template_of(DEEPSEEK_V31) + "<think>\n"
    async with served(random_checkpoint(template)) as client:
        # The end of the reasoning, which a random model would come to only by chance.
        bias: JsonValue = {str(TOKENIZER.id_of("</think>")): 30}
        found = await answer(client, **ONE, logit_bias=bias)
        message = found.choices[0].message
        assert len(message.tool_calls) == 1
        assert found.choices[0].finish_reason == "tool_calls"


def test_calls_beyond_the_first_are_left_out_where_only_one_is_wanted() -> None:
    form = DEEPSEEK_V31
    call = f"{form.begins}weather{form.separators[0]}{{}}{form.ends[0]}"
    text = f"Well.{form.opens}{call}{call}{form.closes}"
    found = {}
    for most in (None, 1):
        held = ChatAnswer(AnswerParser(form), most_calls=most)
        held.take(Progress("r", (), text, Usage(1, 9, 0), FinishReason.STOP))
        found[most] = (held.content, len(held.calls), held.complete_calls, held.finish)
    assert found == {None: ("Well.", 2, 2, "tool_calls"), 1: ("Well.", 1, 1, "tool_calls")}
