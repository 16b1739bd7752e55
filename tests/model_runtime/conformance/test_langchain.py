"""LangChain's ChatOpenAI and ChatDeepSeek run a session against the server, if installed."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from tests.model_runtime.conformance.conftest import KEY

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


@pytest.fixture(params=["openai", "deepseek"])
def model(request: pytest.FixtureRequest, base_url: str) -> BaseChatModel:
    if request.param == "openai":
        library = pytest.importorskip("langchain_openai")
        found = library.ChatOpenAI(base_url=base_url, api_key=KEY, model="random", max_tokens=200)
    else:
        library = pytest.importorskip("langchain_deepseek")
        found = library.ChatDeepSeek(api_base=base_url, api_key=KEY, model="random", max_tokens=200)
    assert isinstance(found, BaseChatModel)
    return found


def test_a_question_is_answered_and_counted(model: BaseChatModel) -> None:
    answer = model.invoke("hi")
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


def test_a_stream_adds_up(model: BaseChatModel) -> None:
    chunks = list(model.stream("hi"))
    assert len(chunks) > 1
    assert all(isinstance(chunk.content, str) for chunk in chunks)


def test_a_required_tool_is_called(model: BaseChatModel) -> None:
    answer = model.bind_tools([WEATHER], tool_choice="any").invoke("weather?")
    assert isinstance(answer, AIMessage)
    assert answer.tool_calls[0]["name"] == "weather"
    assert answer.tool_calls[0]["args"]["city"] in {"Oslo", "Rome"}


def test_an_answer_follows_a_schema(model: BaseChatModel) -> None:
    answer = model.with_structured_output(MOOD, method="json_schema").invoke("good or bad?")
    assert isinstance(answer, dict)
    assert answer["mood"] in {"good", "bad"}
