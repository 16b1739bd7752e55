"""The model client against a real server that answers, refuses, hangs and breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import SecretStr
from tests.doubles.model_server import Fault, Json, ModelServer, Refuses, Says, Turn, says
from tests.doubles.web_server import wait_until

from treadle.integrations.errors import Delivery, ErrorClass, ToolError
from treadle.integrations.models import ChatRequest, Completion, Message
from treadle.integrations.models.client import OpenAIModelClient
from treadle.integrations.models.endpoints import Endpoint, EndpointTable, Limits, Price

HELLO = ChatRequest(messages=(Message(role="user", content="Hi"),), model="main")
KEY = "sk-very-secret-key"


class Setting:
    """A server and a client for it."""

    def __init__(self) -> None:
        self.clients: list[OpenAIModelClient] = []

    def client(self, **endpoints: Endpoint) -> OpenAIModelClient:
        client = OpenAIModelClient(EndpointTable(endpoints))
        self.clients.append(client)
        return client


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    setting = Setting()
    yield setting
    for client in setting.clients:
        await client.aclose()


def endpoint(server: ModelServer, **changes: object) -> Endpoint:
    return Endpoint.model_validate(
        {"url": server.url, "model": "double", "key": SecretStr(KEY), **changes}
    )


async def ask(
    setting: Setting,
    turn: Turn,
    *,
    on_delta: Callable[[str], None] | None = None,
    timeout_s: float = 5,
) -> Completion:
    with ModelServer(turn) as server:
        client = setting.client(main=endpoint(server))
        return await client.complete(HELLO, timeout_s=timeout_s, on_delta=on_delta)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_arrives_whole_and_in_pieces(setting: Setting, is_streamed: bool) -> None:
    pieces: list[str] = []
    turn = says("Grüße, 世界 and all.", reasoning="They greet.", comments=True, bytes_per_write=7)
    answer = await ask(setting, turn, on_delta=pieces.append if is_streamed else None)
    assert answer.text == "Grüße, 世界 and all."
    assert answer.reasoning == "They greet."
    assert answer.finish_reason == "stop"
    assert (answer.tokens.input_tokens, answer.tokens.output_tokens) == (10, 5)
    assert "".join(pieces) == (answer.text if is_streamed else "")
    assert len(pieces) > 1 or not is_streamed


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("said", "text", "reasoning"),
    [
        ("<think>I see.</think>\n\nYes.", "Yes.", "I see."),
        ("\n<think>\nI see.\n</think>Yes.", "Yes.", "I see."),
        ("I see.</think>Yes.", "Yes.", "I see."),
        ("<think>I was cut", "", "I was cut"),
        ("A tag <think> in the text", "A tag <think> in the text", None),
        ("No thought at all", "No thought at all", None),
    ],
)
async def test_thoughts_in_tags_are_kept_apart(
    setting: Setting, said: str, text: str, reasoning: str | None, is_streamed: bool
) -> None:
    pieces: list[str] = []
    turn = Says(tuple(said))
    answer = await ask(setting, turn, on_delta=pieces.append if is_streamed else None)
    assert (answer.text, answer.reasoning) == (text, reasoning)
    if is_streamed and "</think>" in said and "<think>" not in said:
        assert "".join(pieces).endswith(text)  # nobody could know before the end tag came
    elif is_streamed:
        assert "".join(pieces) == text


async def test_the_request_says_what_was_asked_and_nothing_else(setting: Setting) -> None:
    with ModelServer() as server:
        client = setting.client(main=endpoint(server, limits=Limits(max_tokens=100)))
        request = ChatRequest(
            messages=(
                Message(role="system", content="Be brief."),
                Message(role="user", content="What is it?", images=("data:image/png;base64,AA",)),
            ),
            schema={"type": "object", "properties": {"a": {"type": "string"}}},
            temperature=0,
            max_tokens=500,
            stop=("END",),
            seed=7,
            thinking="off",
        )
        await client.complete(request, timeout_s=5)
    body = server.bodies[0]
    assert server.keys == [f"Bearer {KEY}"]
    assert body["model"] == "double"
    assert body["messages"][1]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA"},
    }
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0, 100, 7)
    assert body["stop"] == ["END"]
    assert body["response_format"]["json_schema"]["strict"] is False
    assert body["thinking"] == {"type": "disabled"}
    assert "stream" not in body


async def test_cached_tokens_and_cost_in_both_spellings(setting: Setting) -> None:
    price = Price(input=1.0, cached=0.1, output=2.0)
    for usage in (
        {"prompt_tokens": 1000, "completion_tokens": 500, "prompt_cache_hit_tokens": 400},
        {
            "prompt_tokens": 1000,
            "completion_tokens": 500,
            "prompt_tokens_details": {"cached_tokens": 400},
        },
    ):
        with ModelServer(says("x", usage=usage)) as server:
            client = setting.client(main=endpoint(server, price=price))
            tokens = (await client.complete(HELLO, timeout_s=5)).tokens
        assert tokens.cached_tokens == 400
        assert tokens.cost_usd == pytest.approx((600 * 1.0 + 400 * 0.1 + 500 * 2.0) / 1e6)


async def test_tokens_are_estimated_where_the_server_counts_none(setting: Setting) -> None:
    tokens = (await ask(setting, says("four words are here", usage=None))).tokens
    assert tokens.is_estimated
    assert tokens.output_tokens == 5
    assert tokens.cost_usd is None


@pytest.mark.parametrize(
    ("turn", "error_class", "code"),
    [
        (Refuses(400, "bad temperature"), ErrorClass.INVALID_INPUT, "model_refused"),
        (Refuses(404), ErrorClass.INVALID_INPUT, "model_refused"),
        (Refuses(401), ErrorClass.DENIED, "model_key_refused"),
        (Refuses(402), ErrorClass.DENIED, "model_balance"),
        (Refuses(403), ErrorClass.DENIED, "model_key_refused"),
        (Refuses(429), ErrorClass.RATE_LIMIT, "model_rate_limit"),
        (Refuses(500), ErrorClass.UPSTREAM, "model_unavailable"),
        (Refuses(503), ErrorClass.UPSTREAM, "model_unavailable"),
        (Fault.HANG_UP, ErrorClass.UPSTREAM, "model_connection_broken"),
        (Fault.HALF_CLOSED, ErrorClass.UPSTREAM, "model_cut_off"),
        (Fault.BAD_JSON, ErrorClass.UPSTREAM, "model_bad_answer"),
        (Fault.ENDLESS_LINE, ErrorClass.UPSTREAM, "model_bad_stream"),
        (Fault.ERROR_IN_STREAM, ErrorClass.UPSTREAM, "model_unavailable"),
        (Fault.SILENCE, ErrorClass.TIMEOUT, "model_timeout"),
        (Fault.SILENCE_IN_STREAM, ErrorClass.TIMEOUT, "model_timeout"),
    ],
)
async def test_each_fault_has_its_class(
    setting: Setting, turn: Turn, error_class: ErrorClass, code: str
) -> None:
    with pytest.raises(ToolError) as caught:
        await ask(setting, turn, on_delta=lambda piece: None, timeout_s=0.5)
    assert (caught.value.error_class, caught.value.code) == (error_class, code)
    assert "'main'" in caught.value.message


async def test_a_rate_limit_says_how_long_to_wait(setting: Setting) -> None:
    with pytest.raises(ToolError) as caught:
        await ask(setting, Refuses(429, retry_after="7"))
    assert caught.value.retry_after_s == 7
    assert caught.value.delivery is Delivery.REFUSED


async def test_the_key_is_in_no_message(setting: Setting) -> None:
    with pytest.raises(ToolError) as caught:
        await ask(setting, Refuses(401, f"Incorrect API key provided: {KEY}"))
    assert KEY not in caught.value.message
    assert "Incorrect API key" in caught.value.message


async def test_nobody_there_is_upstream_and_nothing_was_sent(setting: Setting) -> None:
    client = setting.client(main=Endpoint(url="http://127.0.0.1:9/v1"))
    with pytest.raises(ToolError) as caught:
        await client.complete(HELLO, timeout_s=5)
    assert (caught.value.code, caught.value.delivery) == ("model_unreachable", Delivery.NOT_SENT)


async def test_a_stream_without_its_end_mark_is_whole_if_it_gave_a_reason(setting: Setting) -> None:
    answer = await ask(setting, says("Done.", has_end=False), on_delta=lambda piece: None)
    assert answer.text == "Done."


@pytest.mark.parametrize("turn", [Refuses(503), Refuses(429), Fault.HANG_UP])
async def test_a_fallback_answers_when_an_endpoint_fails(setting: Setting, turn: Turn) -> None:
    with ModelServer(turn) as broken, ModelServer(says("Spare.")) as spare:
        client = setting.client(
            main=endpoint(broken, fallback="spare"), spare=endpoint(spare, model="other")
        )
        answer = await client.complete(HELLO, timeout_s=5)
    assert (answer.text, answer.endpoint, answer.model) == ("Spare.", "spare", "other")
    assert (broken.calls, spare.calls) == (1, 1)


@pytest.mark.parametrize(
    ("turn", "is_streamed"),
    [(Refuses(400), False), (Refuses(401), False), (Fault.HALF_CLOSED, True)],
)
async def test_no_fallback_for_a_wrong_request_or_after_the_first_word(
    setting: Setting, turn: Turn, is_streamed: bool
) -> None:
    with ModelServer(turn) as broken, ModelServer() as spare:
        client = setting.client(main=endpoint(broken, fallback="spare"), spare=endpoint(spare))
        with pytest.raises(ToolError):
            await client.complete(
                HELLO,
                timeout_s=5,
                on_delta=(lambda piece: None) if is_streamed else None,
            )
    assert spare.calls == 0


async def test_an_endpoint_without_schemas_is_told_in_words(setting: Setting) -> None:
    def choosy(body: Json) -> Says | Refuses:
        if body.get("response_format", {}).get("type") == "json_schema":
            return Refuses(400, "response_format type json_schema is unavailable")
        return says('{"a": 1}')

    request = ChatRequest(HELLO.messages, schema={"type": "object", "required": ["a"]})
    with ModelServer(choosy) as server:
        client = setting.client(main=endpoint(server))
        answers = [await client.complete(request, timeout_s=5) for _ in range(2)]
    assert [answer.text for answer in answers] == ['{"a": 1}'] * 2
    assert [body["response_format"]["type"] for body in server.bodies] == [
        "json_schema",
        "json_object",
        "json_object",
    ]
    assert '"required": ["a"]' in server.bodies[1]["messages"][0]["content"]


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_connection_is_used_again(setting: Setting, is_streamed: bool) -> None:
    with ModelServer(says("Hello there.", is_kept=True)) as server:
        client = setting.client(main=endpoint(server))
        for _ in range(3):
            await client.complete(HELLO, timeout_s=5, on_delta=print if is_streamed else None)
        assert (server.calls, server.connections) == (3, 1)


async def test_a_redirect_is_not_followed(setting: Setting) -> None:
    """It would carry the key to where nobody sent it."""
    with ModelServer() as elsewhere:
        turn = Refuses(307, location=f"{elsewhere.url}/chat/completions")
        with pytest.raises(ToolError, match="status 307"):
            await ask(setting, turn)
        assert elsewhere.calls == 0


async def test_a_large_request_arrives_whole(setting: Setting) -> None:
    text = "é" * 1_500_000
    with ModelServer() as server:
        client = setting.client(main=endpoint(server))
        asked = ChatRequest(messages=(Message(role="user", content=text),), model="main")
        await client.complete(asked, timeout_s=30)
        assert server.bodies[0]["messages"][0]["content"] == text


async def test_cancelling_closes_the_connection_at_once(setting: Setting) -> None:
    with ModelServer(Fault.SILENCE_IN_STREAM) as server:
        client = setting.client(main=endpoint(server))
        heard = asyncio.Event()
        call = asyncio.create_task(
            client.complete(
                HELLO,
                timeout_s=60,
                on_delta=lambda piece: heard.set(),
            )
        )
        await asyncio.wait_for(heard.wait(), 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(wait_until, server.left.is_set)


async def test_an_endpoint_gets_no_more_calls_at_once_than_its_limit(setting: Setting) -> None:
    with ModelServer(Fault.SILENCE) as server:
        client = setting.client(main=endpoint(server, limits=Limits(concurrency=2)))
        calls = [asyncio.create_task(client.complete(HELLO, timeout_s=60)) for _ in range(5)]
        assert await asyncio.to_thread(wait_until, lambda: server.calls == 2)
        await asyncio.sleep(0.1)
        assert server.calls == 2
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_processes_divide_the_places_of_an_endpoint(setting: Setting) -> None:
    with ModelServer(Fault.SILENCE) as server:
        client = setting.client(main=endpoint(server, limits=Limits(concurrency=5)))
        client.share_among(2)
        calls = [asyncio.create_task(client.complete(HELLO, timeout_s=60)) for _ in range(8)]
        assert await asyncio.to_thread(wait_until, lambda: server.calls == 2)
        await asyncio.sleep(0.1)
        assert server.calls == 2
        client.share_among(1)  # the other one ended
        assert await asyncio.to_thread(wait_until, lambda: server.calls == 5)
        client.share_among(7)
        await asyncio.sleep(0.1)
        assert server.calls == 5
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_without_an_endpoint_the_client_says_so(setting: Setting) -> None:
    client = setting.client()
    assert not client.available
    with pytest.raises(ToolError, match="TREADLE_MODEL_URL") as caught:
        await client.complete(HELLO, timeout_s=5)
    assert caught.value.code == "no_model_endpoint"
