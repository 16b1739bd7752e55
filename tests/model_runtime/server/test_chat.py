"""`/v1/chat/completions` as OpenAI's clients know it."""

import asyncio
import json

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.server.conftest import TOKENIZER, random_checkpoint, served
from tests.model_runtime.server.shapes import Answer, Part

from treadle.model_runtime.engine import EngineOptions
from treadle.model_runtime.server.app import ServerOptions

HELLO: dict[str, JsonValue] = {
    "model": "random",
    "messages": [{"role": "user", "content": "Hello there."}],
    "max_tokens": 8,
    "temperature": 0,
}
PERSON: JsonValue = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 4}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}


async def post(client: httpx.AsyncClient, **changes: JsonValue) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={**HELLO, **changes})


async def answer(client: httpx.AsyncClient, **changes: JsonValue) -> Answer:
    response = await post(client, **changes)
    assert response.status_code == 200, response.text
    return Answer.model_validate(response.json())


async def chunks(client: httpx.AsyncClient, **changes: JsonValue) -> list[Part]:
    response = await post(client, stream=True, **changes)
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [Part.model_validate_json(line.removeprefix("data: ")) for line in lines[:-1]]


async def test_an_answer_has_openais_form(client: httpx.AsyncClient) -> None:
    found = await answer(client)
    assert found.object == "chat.completion"
    assert found.model == "random"
    assert found.id.startswith("chatcmpl-")
    assert [(choice.index, choice.finish_reason) for choice in found.choices] == [(0, "length")]
    rendered = "<|im_start|>user\nHello there.<|im_end|>\n<|im_start|>assistant\n"
    prompt = len(TOKENIZER.encode(rendered))
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (prompt, 8)
    assert found.usage.prompt_cache_hit_tokens == 0
    assert found.usage.prompt_cache_miss_tokens == prompt


async def test_a_stream_adds_up_to_the_whole_answer(client: httpx.AsyncClient) -> None:
    whole = await answer(client, max_tokens=30)
    *told, last = await chunks(client, max_tokens=30, stream_options={"include_usage": True})
    assert {part.id for part in told} == {last.id}
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 30
    assert last.usage.prompt_cache_hit_tokens == 16
    deltas = [part.choices[0].delta for part in told]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(str(delta.get("content", "")) for delta in deltas) == whole.texts[0]
    finishes = [part.choices[0].finish_reason for part in told]
    assert finishes == [None] * (len(told) - 1) + ["length"]
    assert all(part.usage is None for part in told)


async def test_a_seed_gives_the_same_answer_and_n_gives_different_ones(
    client: httpx.AsyncClient,
) -> None:
    once = await answer(client, temperature=1, seed=7, n=3)
    again = await answer(client, temperature=1, seed=7, n=3)
    assert once.texts == again.texts
    assert len(set(once.texts)) == 3
    assert once.usage.completion_tokens == 24
    alone = await answer(client, temperature=1, seed=7)
    assert alone.texts == once.texts[:1]


async def test_stop_strings_end_the_answer(client: httpx.AsyncClient) -> None:
    text = str((await answer(client, max_tokens=20)).texts[0])
    found = await answer(client, max_tokens=20, stop=text[4:6])
    assert found.texts == [text[: text.index(text[4:6])]]
    assert found.choices[0].finish_reason == "stop"


async def test_logprobs_come_with_bytes(client: httpx.AsyncClient) -> None:
    response = await post(client, logprobs=True, top_logprobs=2)
    (choice,) = response.json()["choices"]
    tokens = choice["logprobs"]["content"]
    assert len(tokens) == 8
    assert all(len(token["top_logprobs"]) == 2 for token in tokens)
    assert all(token["top_logprobs"][0]["logprob"] == token["logprob"] for token in tokens)
    raw = bytes(byte for token in tokens for byte in token["bytes"])
    assert raw.decode("utf-8", errors="replace") == choice["message"]["content"]


@pytest.mark.parametrize("seed", range(3))
async def test_a_json_schema_is_followed(client: httpx.AsyncClient, seed: int) -> None:
    response_format: JsonValue = {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": PERSON, "strict": True},
    }
    found = await answer(
        client, temperature=1, seed=seed, max_tokens=200, response_format=response_format
    )
    person = json.loads(str(found.texts[0]))
    assert set(person) == {"name", "old"}
    assert isinstance(person["old"], bool)
    assert len(person["name"]) <= 4


async def test_a_prefix_is_continued(client: httpx.AsyncClient) -> None:
    begun: list[JsonValue] = [
        {"role": "user", "content": "Hello there."},
        {"role": "assistant", "content": "Well,", "prefix": True},
    ]
    response = await client.post("/beta/chat/completions", json={**HELLO, "messages": begun})
    assert response.status_code == 200
    rendered = "<|im_start|>user\nHello there.<|im_end|>\n<|im_start|>assistant\nWell,"
    assert response.json()["usage"]["prompt_tokens"] == len(TOKENIZER.encode(rendered))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"bogus": 1}, "bogus"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"logit_bias": {"99999": 1}}, "logit_bias"),
        ({"chat_template": "{{ 1 }}"}, "chat_template"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, change: dict[str, JsonValue], param: str
) -> None:
    response = await post(client, **change)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]


async def test_fields_without_meaning_here_are_taken(client: httpx.AsyncClient) -> None:
    found = await answer(client, user="ada", store=True, metadata={"a": "b"}, seed=None)
    assert found.texts == (await answer(client)).texts


async def test_another_model_is_not_found(client: httpx.AsyncClient) -> None:
    response = await post(client, model="gpt-4")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


async def test_a_long_prompt_is_refused_with_its_length(client: httpx.AsyncClient) -> None:
    response = await post(client, messages=[{"role": "user", "content": "word " * 600}])
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


async def test_a_model_without_template_says_so() -> None:
    async with served(random_checkpoint(template=None)) as client:
        response = await post(client)
        assert response.status_code == 400
        assert "/v1/completions" in response.json()["error"]["message"]


async def test_reasoning_is_told_apart() -> None:
    template = "{{ messages[0].content }}{% if thinking is not false %}<think>\n{% endif %}"
    async with served(random_checkpoint(template)) as client:
        on = await answer(client)
        off = await answer(client, thinking={"type": "disabled"})
        assert on.choices[0].message.reasoning_content
        assert on.texts == [None]
        assert on.usage.completion_tokens_details["reasoning_tokens"] == 8
        assert off.choices[0].message.reasoning_content is None


async def test_a_flood_gets_429_and_when_to_come_back() -> None:
    options = EngineOptions(blocks=64, block_size=16, step_tokens=64, running=1, queue=1)
    async with served(random_checkpoint(), engine_options=options) as client:
        found = await asyncio.gather(*(post(client, max_tokens=60) for _ in range(6)))
        codes = sorted(response.status_code for response in found)
        assert codes[0] == 200
        assert codes[-1] == 429
        refused = next(response for response in found if response.status_code == 429)
        assert refused.headers["retry-after"] == "1"


async def test_time_is_limited() -> None:
    async with served(random_checkpoint(), timeout_s=1e-6) as client:
        response = await post(client)
        assert response.status_code == 504
        assert response.json()["error"]["code"] == "deadline_exceeded"


async def test_keys_are_asked_for() -> None:
    async with served(random_checkpoint(), ServerOptions(keys=["secret"])) as client:
        assert (await post(client)).status_code == 401
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/healthz")).status_code == 200
        client.headers["Authorization"] = "Bearer secret"
        assert (await post(client)).status_code == 200


async def test_a_large_body_is_refused_unread() -> None:
    async with served(random_checkpoint(), ServerOptions(max_body_bytes=500)) as client:
        response = await post(client, messages=[{"role": "user", "content": "x" * 600}])
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"
