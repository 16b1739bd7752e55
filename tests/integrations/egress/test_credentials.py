"""Secrets of connections: added where they belong, nowhere else, and never shown."""

import base64
import json
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from tests.doubles.web_server import WebServer, redirect
from tests.integrations.egress.conftest import Names

from treadle.integrations.egress import (
    BadCredential,
    GuardedClient,
    HttpConnection,
    HttpCredential,
    Policy,
    Redactor,
    build_client,
    check_url,
    redactor_of,
)
from treadle.integrations.errors import EgressDenied

SECRET = "s3cret/key+1"


@pytest.fixture
async def guard(web: WebServer) -> AsyncIterator[GuardedClient]:
    names = Names(other_test=[["127.0.0.1"]])
    policy = Policy.parse(f"127.0.0.1:{web.port}, other.test:{web.port}")
    async with build_client(policy, resolver=names) as client:
        yield client


@pytest.mark.parametrize(
    ("credential", "header", "value"),
    [
        (HttpCredential("bearer", SECRET, ("127.0.0.1",)), "authorization", f"Bearer {SECRET}"),
        (HttpCredential("header", SECRET, ("127.0.0.1",)), "x-api-key", SECRET),
        (HttpCredential("header", f"X-Token: {SECRET}", ("127.0.0.1",)), "x-token", SECRET),
        (
            HttpCredential("header", SECRET, ("127.0.0.1",), header="X-Mine"),
            "x-mine",
            SECRET,
        ),
        (
            HttpCredential("basic", f"me:{SECRET}", ("127.0.0.1",)),
            "authorization",
            "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode(),
        ),
    ],
)
async def test_the_secret_is_added_for_its_host(
    guard: GuardedClient, web: WebServer, credential: HttpCredential, header: str, value: str
) -> None:
    connection = HttpConnection("c1", credential, guard=guard)
    response = await connection.client().get(f"{web.url}/")
    assert web.asked[0].headers[header] == value
    assert SECRET not in str(response.request.headers)
    assert redactor_of(response).redact_values(f"you sent {value}") != f"you sent {value}"
    assert (connection.type, connection.id) == ("http", "c1")


async def test_another_host_is_refused_before_anything_is_sent(
    guard: GuardedClient, web: WebServer
) -> None:
    credential = HttpCredential("bearer", SECRET, ("api.example.com",))
    client = HttpConnection("c1", credential, guard=guard).client()
    with pytest.raises(EgressDenied, match=r"it names api\.example\.com") as caught:
        await client.get(f"{web.url}/")
    assert caught.value.code == "host_not_in_connection"
    assert SECRET not in caught.value.message
    assert web.connections == 0


async def test_plain_http_needs_a_listed_host(guard: GuardedClient) -> None:
    credential = HttpCredential("bearer", SECRET, ("api.example.com",))
    client = HttpConnection("c1", credential, guard=guard).client()
    with pytest.raises(EgressDenied, match="use https") as caught:
        await client.get("http://api.example.com/")
    assert caught.value.code == "https_required"


async def test_a_redirect_to_another_host_loses_the_secret_even_if_it_is_named(
    guard: GuardedClient, web: WebServer
) -> None:
    web.routes["/"] = redirect(f"http://other.test:{web.port}/there")
    web.routes["/there"] = redirect(f"{web.url}/back")
    credential = HttpCredential("bearer", SECRET, ("127.0.0.1", "other.test"))
    await HttpConnection("c1", credential, guard=guard).client().get(f"{web.url}/")
    assert [("authorization" in asked.headers) for asked in web.asked] == [True, False, False]


async def test_the_client_without_a_connection_never_has_the_secret(
    guard: GuardedClient, web: WebServer
) -> None:
    HttpConnection("c1", HttpCredential("bearer", SECRET, ("127.0.0.1",)), guard=guard)
    await guard.get(f"{web.url}/")
    assert SECRET not in str(web.asked[0].headers)


@pytest.mark.parametrize(
    ("pattern", "url", "is_meant"),
    [
        ("api.example.com", "https://api.example.com/", True),
        ("API.example.com", "https://api.EXAMPLE.com./", True),
        ("api.example.com", "https://xapi.example.com/", False),
        ("api.example.com", "https://api.example.com.evil.com/", False),
        ("*.example.com", "https://api.example.com/", True),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://badexample.com/", False),
        ("api.example.com:8443", "https://api.example.com/", False),
        ("10.0.0.5:8080", "http://10.0.0.5:8080/", True),
        ("10.0.0.5", "http://10.0.0.5:8080/", True),
        ("[fd12::1]", "https://[fd12::1]:8080/", True),
    ],
)
def test_hosts_are_exact_or_below_a_suffix(pattern: str, url: str, is_meant: bool) -> None:
    policy = Policy.parse("10.0.0.5:8080, [fd12::1]:8080")
    credential = HttpCredential("bearer", SECRET, (pattern,))
    parsed = check_url(url, policy)
    if is_meant:
        credential.check(parsed, policy)
    else:
        with pytest.raises(EgressDenied, match="is not for"):
            credential.check(parsed, policy)


@pytest.mark.parametrize(
    ("secret", "hosts", "reason"),
    [
        ("", ("a.example.com",), "empty"),
        ("a\nb", ("a.example.com",), "characters"),
        ("ok-secret", (), "at least one host"),
        ("ok-secret", ("*.com",), "top-level domain"),
        ("ok-secret", ("https://a.example.com/",), "neither a host"),
        ("ok-secret", ("a.*.com",), "neither a host"),
    ],
)
def test_a_wrong_description_is_refused(secret: str, hosts: tuple[str, ...], reason: str) -> None:
    with pytest.raises(BadCredential, match=reason):
        HttpCredential("bearer", secret, hosts)


def test_the_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(HttpCredential("bearer", SECRET, ("a.example.com",)))


@pytest.mark.parametrize(
    "text",
    [
        f"it was {SECRET}!",
        f"?key={quote(SECRET, safe='')}",
        json.dumps({"a": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"longer-user:{SECRET}:and more".encode()).decode(),
    ],
)
def test_every_spelling_of_a_known_value_is_hidden(text: str) -> None:
    shown = Redactor(SECRET).redact(text)
    assert "•••" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ('{"authorization": "Basic dXNlcjpwdw=="}', "dXNlcjpwdw=="),
        ("key trd_live_0123456789abcdef", "0123456789abcdef"),
        ("sk-proj-abcdefghijkl", "abcdefghijkl"),
        ("eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "eyJzdWIiOi"),
    ],
)
def test_shapes_of_keys_are_hidden_unknown(text: str, hidden: str) -> None:
    assert hidden not in Redactor().redact(text)


@pytest.mark.parametrize(
    "text", ["basic authentication is on", "the bearer of news", "risk-averse"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor(SECRET).redact(text) == text


def test_values_in_json_are_hidden_deep_inside() -> None:
    value = Redactor(SECRET).redact_json({"a": [{SECRET: f"x{SECRET}"}, 1, None]})
    assert value == {"a": [{"•••": "x•••"}, 1, None]}
