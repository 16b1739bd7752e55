"""Tools go out and calls come back, whole and streamed, over the OpenAI protocol."""

from collections.abc import Callable

import pytest
from tests.doubles.model_server import Json, ModelServer, says

from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models import ChatRequest, Completion, Message, ToolCall, ToolSpec
from treadle.integrations.models.client import OpenAIModelClient
from treadle.integrations.models.endpoints import Endpoint, EndpointTable
from treadle.integrations.models.tool_calls import CallCollector
from treadle.integrations.models.wire import WireFunction, WireToolCall

SEARCH = ToolSpec("web_search", "Search the web.", {"type": "object", "properties": {}})
CALLS = (("web_search", '{"query": "crm"}'), ("web_fetch", '{"url": "ü"}'))
EXPECTED = (
    ToolCall("call_web_search_0", "web_search", '{"query": "crm"}'),
    ToolCall("call_web_fetch_1", "web_fetch", '{"url": "ü"}'),
)


async def ask(
    server: ModelServer,
    request: ChatRequest,
    *,
    on_delta: Callable[[str], None] | None = None,
    images: bool = True,
    cache_key: bool = False,
) -> Completion:
    endpoint = Endpoint(url=server.url, images=images, cache_key=cache_key)
    client = OpenAIModelClient(EndpointTable({"tiny": endpoint}))
    try:
        return await client.complete(request, timeout_s=5, on_delta=on_delta)
    finally:
        await client.aclose()


REQUEST = ChatRequest(messages=[Message("user", "Hi")], model="tiny", tools=[SEARCH])


async def test_calls_of_a_whole_answer() -> None:
    with ModelServer(says("Let me look.", calls=CALLS, finish_reason="tool_calls")) as server:
        answer = await ask(server, REQUEST)
    assert (answer.text, answer.finish_reason) == ("Let me look.", "tool_calls")
    assert answer.tool_calls == EXPECTED
    function: Json = {
        "name": "web_search",
        "description": "Search the web.",
        "parameters": {"type": "object", "properties": {}},
    }
    assert server.bodies[0]["tools"] == [{"type": "function", "function": function}]


@pytest.mark.parametrize("size", [None, 1, 7])
async def test_calls_of_a_stream_are_put_together(size: int | None) -> None:
    heard: list[str] = []
    turn = says("Look.", calls=CALLS, bytes_per_write=size, finish_reason="tool_calls")
    with ModelServer(turn) as server:
        answer = await ask(server, REQUEST, on_delta=heard.append)
    assert answer.tool_calls == EXPECTED
    assert "".join(heard) == "Look."


async def test_a_conversation_with_calls_goes_out_as_the_protocol_wants() -> None:
    messages = [
        Message("user", "Hi"),
        Message("assistant", "", tool_calls=EXPECTED[:1]),
        Message("tool", '{"results": []}', tool_call_id="call_web_search_0"),
    ]
    with ModelServer(says("Nothing.")) as server:
        await ask(server, ChatRequest(messages=messages, model="tiny"))
    _, said, answered = server.bodies[0]["messages"]
    assert said["tool_calls"] == [
        {
            "id": "call_web_search_0",
            "type": "function",
            "function": {"name": "web_search", "arguments": '{"query": "crm"}'},
        }
    ]
    assert answered == {
        "role": "tool", "content": '{"results": []}', "tool_call_id": "call_web_search_0",
    }  # fmt: skip
    assert "tools" not in server.bodies[0]


async def test_images_are_refused_where_the_endpoint_takes_none() -> None:
    request = ChatRequest(messages=[Message("user", "See?", images=["https://a.example/x.png"])])
    with ModelServer() as server:
        with pytest.raises(ToolError, match="takes no images") as refused:
            await ask(server, request, images=False)
        assert server.calls == 0
        await ask(server, request)
    assert (refused.value.error_class, refused.value.code) == (
        ErrorClass.INVALID_INPUT, "images_not_supported",
    )  # fmt: skip


async def test_the_cache_key_goes_only_where_it_is_understood() -> None:
    request = ChatRequest(messages=[Message("user", "Hi")], cache_key="k1")
    with ModelServer() as server:
        await ask(server, request)
        await ask(server, request, cache_key=True)
    assert [body.get("prompt_cache_key") for body in server.bodies] == [None, "k1"]


def test_pieces_without_an_index_belong_to_the_last_call() -> None:
    calls = CallCollector()
    calls.take([WireToolCall(id="a", function=WireFunction(name="one", arguments='{"x"'))])
    calls.take([WireToolCall(function=WireFunction(arguments=": 1}"))])
    calls.take([WireToolCall(id="b", function=WireFunction(name="two", arguments={"y": 2}))])
    assert calls.result() == (
        ToolCall("a", "one", '{"x": 1}'),
        ToolCall("b", "two", '{"y": 2}'),
    )
