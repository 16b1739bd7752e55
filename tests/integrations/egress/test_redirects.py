"""Redirects: few, checked, without secrets for strangers."""

from collections.abc import AsyncIterator

import pytest
from tests.doubles.web_server import Asked, Reply, WebServer, html, redirect
from tests.integrations.egress.conftest import Names

from treadle.integrations.egress import GuardedClient, Policy, build_client, final_url
from treadle.integrations.errors import ErrorClass, ToolError


@pytest.fixture
async def client() -> AsyncIterator[GuardedClient]:
    names = Names(other_test=[["127.0.0.1"]])
    async with build_client(Policy.parse("127.0.0.1/32"), resolver=names) as client:
        yield client


def _countdown(asked: Asked) -> Reply:
    left = int(asked.query["left"][0])
    return redirect(f"/?left={left - 1}") if left else html("here")


async def test_three_redirects_are_followed_and_the_answer_says_where_it_is_from(
    client: GuardedClient, web: WebServer
) -> None:
    web.routes["/"] = _countdown
    response = await client.get(f"{web.url}/?left=3")
    assert response.text == "here"
    assert final_url(response) == f"{web.url}/?left=0"


async def test_a_fourth_is_refused(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = _countdown
    with pytest.raises(ToolError, match="more than 3 times") as caught:
        await client.get(f"{web.url}/?left=4")
    assert caught.value.code == "too_many_redirects"
    assert len(web.asked) == 4


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_request_with_an_effect_is_not_sent_elsewhere(
    client: GuardedClient, web: WebServer, method: str
) -> None:
    web.routes["/"] = redirect("/next", status=307)
    response = await client.request(method, f"{web.url}/", content=b"order")
    assert (response.status_code, response.headers["location"]) == (307, "/next")
    assert web.paths() == ["/"]


async def test_only_harmless_headers_go_along_to_another_host(
    client: GuardedClient, web: WebServer
) -> None:
    web.routes["/"] = redirect(f"http://other.test:{web.port}/there")
    headers = {"Authorization": "Bearer s3cret", "X-Token": "s3cret", "Accept": "text/html"}
    await client.get(f"{web.url}/", headers=headers)
    there = web.asked[1].headers
    assert there["host"] == f"other.test:{web.port}"
    assert there["accept"] == "text/html"
    assert "s3cret" not in str(there)


async def test_headers_stay_on_the_same_host(client: GuardedClient, web: WebServer) -> None:
    web.routes["/"] = redirect("/there")
    await client.get(f"{web.url}/", headers={"X-Token": "s3cret"})
    assert web.asked[1].headers["x-token"] == "s3cret"


@pytest.mark.parametrize("location", ["http://[::1", "http://a\\b/", "/\x01"])
async def test_a_malformed_location_is_the_servers_fault(
    client: GuardedClient, web: WebServer, location: str
) -> None:
    web.routes["/"] = redirect(location)
    with pytest.raises(ToolError, match="malformed") as caught:
        await client.get(f"{web.url}/")
    assert (caught.value.code, caught.value.error_class) == ("bad_redirect", ErrorClass.UPSTREAM)
