"""OpenAI's own Python client runs a session against the server."""

import json
import time
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionToolParam
from openai.types.responses import ResponseCompletedEvent, ResponseIncompleteEvent
from tests.model_runtime.conformance.conftest import KEY, MODEL, wait_until_idle

from treadle.model_runtime.embedded import ENCODER_NAME, embedded_encoder

pytestmark = pytest.mark.slow
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Oslo", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as found:
        yield found


def test_models(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).owned_by == "treadle"


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "hi"}],
        max_completion_tokens=5,
        extra_body={"ignore_eos": True},  # with chance it may end sooner
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=12, seed=3
    )
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "hi"}],
            max_tokens=12,
            seed=3,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_required_tool_is_called(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "weather?"}],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=200,
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.name == "weather"
    assert json.loads(calls[0].function.arguments)["city"] in {"Oslo", "Rome"}
    assert answer.choices[0].finish_reason == "tool_calls"


def test_an_answer_follows_a_schema(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "good or bad?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "mood",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"mood": {"enum": ["good", "bad"]}},
                    "required": ["mood"],
                    "additionalProperties": False,
                },
            },
        },
        max_tokens=200,
    )
    assert json.loads(answer.choices[0].message.content or "")["mood"] in {"good", "bad"}


def test_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "hi"}],
        max_tokens=3,
        logprobs=True,
        top_logprobs=4,
        extra_body={"ignore_eos": True},
    )
    found = answer.choices[0].logprobs
    assert found is not None
    assert found.content is not None
    assert [len(token.top_logprobs) for token in found.content] == [4, 4, 4]
    assert all(token.logprob <= 0 for token in found.content)


@pytest.mark.skipif(embedded_encoder() is None, reason="the encoder's wheel is not installed")
def test_embeddings(client: openai.OpenAI) -> None:
    """The client asks for base64 and gives numbers."""
    found = client.embeddings.create(model=ENCODER_NAME, input=["plum", "cake"]).data
    assert [len(row.embedding) for row in found] == [384, 384]
    assert sum(value * value for value in found[0].embedding) == pytest.approx(1, abs=1e-4)


def test_errors_have_their_classes(client: openai.OpenAI) -> None:
    message = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.NotFoundError, match="no model 'other'"):
        client.chat.completions.create(model="other", messages=message)  # type: ignore[arg-type]  # as users write it
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=ENCODER_NAME, input="x", dimensions=7)
    assert refused.value.param == "dimensions"
    with (
        openai.OpenAI(base_url=client.base_url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_a_stream_that_is_left_is_cancelled(client: openai.OpenAI, base_url: str) -> None:
    with client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "hi"}],
        max_tokens=900,
        stream=True,
        extra_body={"ignore_eos": True},
    ) as stream:
        next(iter(stream))
    wait_until_idle(base_url)


def test_a_streamed_call_adds_up(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": "weather?"}],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=200,
    ) as stream:
        answer = stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments)["city"] in {"Oslo", "Rome"}


def test_a_batch(client: openai.OpenAI) -> None:
    asked = [
        {
            "custom_id": f"line {number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": MODEL if number else "other",
                "messages": [{"role": "user", "content": "hi"}],
                "max_tokens": 4,
            },
        }
        for number in range(3)
    ]
    text = "\n".join(map(json.dumps, asked)).encode()
    file = client.files.create(file=("asked.jsonl", text), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    until = time.monotonic() + 60
    while (batch := client.batches.retrieve(batch.id)).status != "completed":
        assert time.monotonic() < until, batch
        time.sleep(0.05)
    assert batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
    assert batch.output_file_id is not None
    lines = client.files.content(batch.output_file_id).text.splitlines()
    assert {json.loads(line)["custom_id"] for line in lines} == {"line 1", "line 2"}
    assert batch.id in [item.id for item in client.batches.list()]
    assert client.files.delete(file.id).deleted


def test_a_response_and_its_stream(client: openai.OpenAI) -> None:
    whole = client.responses.create(model=MODEL, input="hi", max_output_tokens=12, temperature=0)
    assert whole.usage is not None
    assert 0 < whole.usage.output_tokens <= 12
    with client.responses.stream(
        model=MODEL, input="hi", max_output_tokens=12, temperature=0
    ) as stream:
        final = list(stream)[-1]
    assert isinstance(final, ResponseCompletedEvent | ResponseIncompleteEvent)
    assert final.response.status == whole.status
    assert final.response.output_text == whole.output_text
    assert final.response.usage == whole.usage
