"""litellm runs a session against the server; `make conformance` installs it."""

import gc
import json
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from tests.model_runtime.conformance.conftest import KEY, MODEL, wait_until_idle

from treadle.model_runtime.embedded import ENCODER_NAME, embedded_encoder

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list at import
litellm: Any = pytest.importorskip("litellm")  # Any: its own types do not pass the checkers

pytestmark = [
    pytest.mark.slow,
    # Its own models, which it dumps with fields of other types than declared.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:Items? .* using the `ReadOnly` qualifier"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # It leaves the socket of a stream that was left to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
HI = [{"role": "user", "content": "hi"}]
WEATHER = {
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
MOOD = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def at(base_url: str) -> Iterator[dict[str, Any]]:
    """Where and as whom."""
    litellm.telemetry = False
    yield {"api_base": base_url, "api_key": KEY, "max_retries": 0}
    litellm.in_memory_llm_clients_cache.flush_cache()
    with warnings.catch_warnings():
        # Sockets that it left open are found here, and not in the middle of another's test.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def ask(at: dict[str, Any], **fields: Any) -> Any:
    return litellm.completion(**{"model": f"openai/{MODEL}", "messages": HI, **at, **fields})


def test_chat_and_stream(at: dict[str, Any]) -> None:
    whole = ask(at, max_tokens=12, seed=3)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 12
    chunks = list(ask(at, max_tokens=12, seed=3, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content


def test_tools(at: dict[str, Any]) -> None:
    answer = ask(at, tools=[WEATHER], tool_choice="required", max_tokens=200)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in {"Oslo", "Rome"}


def test_a_schema(at: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "mood", "schema": MOOD, "strict": True}}
    answer = ask(at, response_format=form, max_tokens=200)
    assert json.loads(answer.choices[0].message.content)["mood"] in {"good", "bad"}


def test_logprobs(at: dict[str, Any]) -> None:
    answer = ask(at, max_tokens=3, logprobs=True, top_logprobs=2, extra_body={"ignore_eos": True})
    assert [len(token.top_logprobs) for token in answer.choices[0].logprobs.content] == [2, 2, 2]


@pytest.mark.skipif(embedded_encoder() is None, reason="the encoder's wheel is not installed")
def test_embeddings(at: dict[str, Any]) -> None:
    found = litellm.embedding(model=f"openai/{ENCODER_NAME}", input=["plum", "cake"], **at)
    assert [len(row["embedding"]) for row in found.data] == [384, 384]


def test_a_batch(at: dict[str, Any]) -> None:
    body = {"model": MODEL, "messages": HI, "max_tokens": 4}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = litellm.create_file(
        file=("asked.jsonl", json.dumps(line).encode()),
        purpose="batch",
        custom_llm_provider="openai",
        **at,
    )
    batch = litellm.create_batch(
        completion_window="24h",
        endpoint="/v1/chat/completions",
        input_file_id=file.id,
        custom_llm_provider="openai",
        **at,
    )
    until = time.monotonic() + 60
    while batch.status != "completed":
        assert time.monotonic() < until, batch
        time.sleep(0.05)
        batch = litellm.retrieve_batch(batch_id=batch.id, custom_llm_provider="openai", **at)
    content = litellm.file_content(file_id=batch.output_file_id, custom_llm_provider="openai", **at)
    assert json.loads(content.text)["custom_id"] == "a"


def test_errors(at: dict[str, Any]) -> None:
    with pytest.raises(litellm.NotFoundError):
        ask(at, model="openai/other")
    with pytest.raises(litellm.AuthenticationError):
        ask({**at, "api_key": "wrong"})
    with pytest.raises(litellm.BadRequestError):
        ask(at, messages=[{"role": "user", "content": "word " * 5_000}])


def test_a_stream_that_is_left_is_cancelled(at: dict[str, Any], base_url: str) -> None:
    stream = ask(at, max_tokens=900, stream=True, extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.completion_stream.close()
    wait_until_idle(base_url)
