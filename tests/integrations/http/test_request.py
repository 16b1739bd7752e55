"""Calling any API."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError
from tests.doubles.network_context import NetworkContext, call
from tests.doubles.web_server import Asked, Reply, WebServer, redirect

from treadle.integrations.base import Effect
from treadle.integrations.egress import HttpConnection, HttpCredential, Policy, build_client
from treadle.integrations.errors import Delivery, EgressDenied, ErrorClass, ToolError
from treadle.integrations.http.request import send_request


def _echo(asked: Asked) -> Reply:
    said = {
        "method": asked.method,
        "query": dict(asked.query),
        "headers": dict(asked.headers),
        "body": asked.body.decode(),
    }
    return Reply(
        json.dumps(said).encode(),
        content_type="application/json",
        headers={"X-Note": "kept", "Set-Cookie": "session=1"},
    )


@pytest.fixture
def api(site: WebServer) -> WebServer:
    site.routes["/echo"] = _echo
    return site


async def test_a_json_call_and_its_answer(context: NetworkContext, api: WebServer) -> None:
    answer = await call(
        send_request,
        context,
        method="POST",
        url=f"{api.url}/echo?a=1",
        query={"b": ["x", "y"], "c": True, "d": None},
        headers={"X-Mine": "yes"},
        json={"name": "Zoë"},
    )
    assert answer.status == 200
    assert (answer.headers["x-note"], "set-cookie" in answer.headers) == ("kept", False)
    assert isinstance(answer.json_body, dict)
    assert answer.json_body["query"] == {"a": ["1"], "b": ["x", "y"], "c": ["true"]}
    assert answer.json_body["body"] == '{"name":"Zoë"}'
    asked = api.asked[0].headers
    assert asked["content-type"] == "application/json"
    assert asked["x-mine"] == "yes"
    assert asked["idempotency-key"] == "step-key-1"
    assert json.loads(answer.body) == answer.json_body
    assert set(answer.model_dump(mode="json")) == {"status", "headers", "body", "json"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_only_calls_with_an_effect_carry_the_key(
    context: NetworkContext, api: WebServer, method: str
) -> None:
    await call(send_request, context, method=method, url=f"{api.url}/echo")
    assert ("idempotency-key" in api.asked[0].headers) == (method not in {"GET", "HEAD"})


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [
        ({}, Effect.READ),
        ({"method": "HEAD"}, Effect.READ),
        ({"method": "POST"}, Effect.KEYED),
        ({"method": "DELETE"}, Effect.KEYED),
        ({"method": "POST", "repeat": "never"}, Effect.ONCE),
        ({"method": "GET", "repeat": "never"}, Effect.READ),
    ],
)
def test_the_effect_follows_from_method_and_repeat(
    arguments: dict[str, str], effect: Effect
) -> None:
    params = send_request.params.model_validate({"url": "https://a.example/", **arguments})
    assert send_request.effect_of(params) is effect


async def test_null_is_a_json_body_too(context: NetworkContext, api: WebServer) -> None:
    await call(send_request, context, method="POST", url=f"{api.url}/echo", json=None)
    assert api.asked[0].body == b"null"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"", "text/plain", None),
        (b"plain", "text/plain", None),
        (b'{"a": 1}', "text/plain", {"a": 1}),
        (b"[1]", "application/vnd.api+json", [1]),
        (b"{broken", "application/json", None),
        (b"[" * 100_000, "application/json", None),
    ],
)
async def test_the_body_is_text_and_json_where_it_is(
    context: NetworkContext, api: WebServer, body: bytes, content_type: str, expected: object
) -> None:
    api.routes["/"] = Reply(body, content_type=content_type)
    answer = await call(send_request, context, url=f"{api.url}/")
    assert (answer.body, answer.json_body) == (body.decode(), expected)


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 418])
async def test_any_other_status_is_a_result(
    context: NetworkContext, api: WebServer, status: int
) -> None:
    api.routes["/"] = Reply(status=status)
    assert (await call(send_request, context, method="POST", url=f"{api.url}/")).status == status


@pytest.mark.parametrize(
    ("status", "expect", "delivery"),
    [
        (500, None, Delivery.UNKNOWN),
        (503, None, Delivery.UNKNOWN),
        (429, None, Delivery.REFUSED),
        (404, [200, "2xx"], Delivery.REFUSED),
        (201, [200], Delivery.UNKNOWN),
        (500, ["2xx"], Delivery.UNKNOWN),
    ],
)
async def test_an_unexpected_status_is_upstream(
    context: NetworkContext,
    api: WebServer,
    status: int,
    expect: list[int | str] | None,
    delivery: Delivery,
) -> None:
    api.routes["/"] = Reply(b"so sorry", status=status, headers={"Retry-After": "9"})
    with pytest.raises(ToolError, match="so sorry") as caught:
        await call(send_request, context, method="POST", url=f"{api.url}/", expect=expect)
    assert (caught.value.error_class, caught.value.code) == (ErrorClass.UPSTREAM, f"http_{status}")
    assert (caught.value.delivery, caught.value.retry_after_s) == (delivery, 9)


@pytest.mark.parametrize("expect", [[500], ["5xx"], ["4xx", 500]])
async def test_an_expected_status_is_a_result_even_500(
    context: NetworkContext, api: WebServer, expect: list[int | str]
) -> None:
    api.routes["/"] = Reply(status=500)
    answer = await call(send_request, context, method="POST", url=f"{api.url}/", expect=expect)
    assert answer.status == 500


async def test_a_broken_connection_is_upstream_and_may_have_had_its_effect(
    context: NetworkContext, api: WebServer
) -> None:
    api.routes["/"] = Reply(hangs_up=True)
    with pytest.raises(ToolError) as caught:
        await call(send_request, context, method="POST", url=f"{api.url}/")
    assert caught.value.error_class is ErrorClass.UPSTREAM
    assert caught.value.delivery is Delivery.UNKNOWN


async def test_no_connection_is_upstream_and_had_no_effect(context: NetworkContext) -> None:
    with pytest.raises(ToolError) as caught:
        await call(send_request, context, method="POST", url="http://127.0.0.1:9/")
    assert caught.value.error_class is ErrorClass.UPSTREAM
    assert caught.value.delivery is Delivery.NOT_SENT


async def test_a_get_follows_redirects_and_a_post_shows_them(
    context: NetworkContext, api: WebServer
) -> None:
    api.routes["/"] = redirect("/echo")
    assert (await call(send_request, context, url=f"{api.url}/")).status == 200
    answer = await call(send_request, context, method="POST", url=f"{api.url}/")
    assert (answer.status, answer.headers["location"]) == (302, "/echo")


@pytest.mark.parametrize(
    "arguments",
    [
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"cookie": "a=b"}},
        {"headers": {"Host": "evil"}},
        {"headers": {"Idempotency-Key": "mine"}},
        {"json": 1, "body": "x"},
        {"method": "TRACE"},
        {"expect": ["6xx"]},
        {"expect": [99]},
        {"repeat": "maybe"},
        {"unknown": 1},
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        send_request.params.model_validate({"url": "https://a.example/", **arguments})


@pytest.mark.parametrize("headers", [{"X\n": "a"}, {"X": "a\r\nY: b"}, {"X": "ü\u4e16"}])
async def test_a_header_that_http_cannot_carry_is_the_callers_fault(
    context: NetworkContext, api: WebServer, headers: dict[str, str]
) -> None:
    with pytest.raises(ToolError) as caught:
        await call(send_request, context, url=f"{api.url}/echo", headers=headers)
    assert caught.value.error_class is ErrorClass.INVALID_INPUT
    assert caught.value.delivery is Delivery.NOT_SENT
    assert api.asked == []


async def test_a_secret_comes_from_the_connection_and_is_in_no_result(
    context: NetworkContext, api: WebServer
) -> None:
    policy = Policy.parse(f"127.0.0.1:{api.port}")
    async with build_client(policy) as guard:
        credential = HttpCredential("bearer", "s3cret-token", ("127.0.0.1",))
        bound = replace(context, connection=HttpConnection("c1", credential, guard=guard))
        answer = await call(send_request, bound, url=f"{api.url}/echo")
        assert api.asked[0].headers["authorization"] == "Bearer s3cret-token"
        assert "s3cret-token" not in answer.model_dump_json()
        api.routes["/"] = Reply(b"bad token s3cret-token", status=500)
        with pytest.raises(ToolError) as caught:
            await call(send_request, bound, url=f"{api.url}/")
        assert "s3cret-token" not in caught.value.message
        with pytest.raises(EgressDenied):
            await call(send_request, bound, url="https://example.com/")


async def test_a_private_address_is_denied(api: WebServer) -> None:
    async with build_client(Policy()) as guard:
        with pytest.raises(EgressDenied):
            await call(send_request, NetworkContext(guard), url=f"{api.url}/echo")
    assert api.connections == 0
