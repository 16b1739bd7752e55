"""LangChain's ChatOpenAI and ChatDeepSeek run a session against the server."""

import math
from collections.abc import Callable

import openai
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_deepseek import ChatDeepSeek
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr
from tests.model_runtime.conformance.conftest import KEY, MODEL, wait_until_idle

from treadle.model_runtime.embedded import ENCODER_NAME, embedded_encoder

pytestmark = pytest.mark.slow
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Oslo", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
MOOD = {
    "title": "mood",
    "description": "A mood.",
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}
TO_THE_END = {"ignore_eos": True}  # with chance an answer may end sooner
Make = Callable[..., BaseChatModel]


@pytest.fixture(params=["openai", "deepseek"])
def make(request: pytest.FixtureRequest, base_url: str) -> Make:
    """A client with further fields."""

    def made(**fields: object) -> BaseChatModel:
        told: dict[str, object] = {"api_key": SecretStr(KEY), "model": MODEL, "max_retries": 0}
        told |= {"max_tokens": 200, **fields}
        if request.param == "openai":
            return ChatOpenAI.model_validate({"base_url": base_url, **told})
        return ChatDeepSeek.model_validate({"api_base": base_url, **told})

    return made


def test_a_question_is_answered_and_counted(make: Make) -> None:
    answer = make(max_tokens=5, extra_body=TO_THE_END).invoke("hi")
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 5
    assert answer.response_metadata["finish_reason"] == "length"


def test_a_stream_adds_up(make: Make) -> None:
    model = make(max_tokens=12, seed=3)
    chunks = list(model.stream("hi"))
    assert len(chunks) > 1
    assert "".join(str(chunk.content) for chunk in chunks) == model.invoke("hi").content


def test_a_required_tool_is_called_and_answered(make: Make) -> None:
    asked = HumanMessage("weather?")
    answer = make().bind_tools([WEATHER], tool_choice="any").invoke([asked])
    assert isinstance(answer, AIMessage)
    call = answer.tool_calls[0]
    assert call["name"] == "weather"
    assert call["args"]["city"] in {"Oslo", "Rome"}
    told = ToolMessage("sunny", tool_call_id=str(call["id"]))
    after = make(max_tokens=5).bind_tools([WEATHER]).invoke([asked, answer, told])
    assert isinstance(after, AIMessage)
    assert after.usage_metadata is not None


def test_a_streamed_call_adds_up(make: Make) -> None:
    chunks = list(make().bind_tools([WEATHER], tool_choice="weather").stream("weather?"))
    pieces = [chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)]
    whole = sum(pieces[1:], start=pieces[0])
    assert whole.tool_calls[0]["args"]["city"] in {"Oslo", "Rome"}


def test_an_answer_follows_a_schema(make: Make) -> None:
    answer = make().with_structured_output(MOOD, method="json_schema").invoke("good or bad?")
    assert isinstance(answer, dict)
    assert answer["mood"] in {"good", "bad"}


def test_logprobs(make: Make) -> None:
    answer = make(max_tokens=3, logprobs=True, top_logprobs=2, extra_body=TO_THE_END).invoke("hi")
    tokens = answer.response_metadata["logprobs"]["content"]
    assert [len(token["top_logprobs"]) for token in tokens] == [2, 2, 2]


def test_many_are_asked_at_once(make: Make) -> None:
    model = make(max_tokens=4, temperature=0)
    answers = model.batch(["a", "b", "c"])
    assert [answer.content for answer in answers] == [
        model.invoke(text).content for text in ("a", "b", "c")
    ]


def test_errors_have_their_classes(make: Make) -> None:
    with pytest.raises(openai.NotFoundError, match="no model 'other'"):
        make(model="other").invoke("hi")
    with pytest.raises(openai.AuthenticationError):
        make(api_key=SecretStr("wrong")).invoke("hi")
    with pytest.raises(openai.BadRequestError):
        make().invoke("word " * 5_000)


def test_a_stream_that_is_left_is_cancelled(make: Make, base_url: str) -> None:
    stream = make(max_tokens=900, extra_body=TO_THE_END).stream("hi")
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator, declared as an iterator
    wait_until_idle(base_url)


@pytest.mark.skipif(embedded_encoder() is None, reason="the encoder's wheel is not installed")
def test_embeddings(base_url: str) -> None:
    """By text: tokens would be those of another vocabulary."""
    client = OpenAIEmbeddings.model_validate(
        {
            "base_url": base_url,
            "api_key": SecretStr(KEY),
            "model": ENCODER_NAME,
            "check_embedding_ctx_length": False,
        }
    )
    vectors = client.embed_documents(["plum", "cake"])
    assert [len(vector) for vector in vectors] == [384, 384]
    assert math.hypot(*vectors[0]) == pytest.approx(1, abs=1e-4)
