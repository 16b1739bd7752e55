"""Searching through a SearXNG-shaped server."""

import json
from dataclasses import replace

import pytest
from tests.doubles.network_context import NetworkContext, call
from tests.doubles.web_server import Asked, Reply, WebServer

from treadle.integrations.egress import Policy, build_client
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.web.search import search_web


def _answer(asked: Asked) -> Reply:
    page = int(asked.query["pageno"][0])
    rows = [
        {
            "url": f"https://{n}.example/",
            "title": f" Title\n{n}",
            "content": None if n == 3 else f"About {n}",
            "engine": "x",
        }
        for n in range((page - 1) * 10, min(page * 10, 25))
    ]
    return Reply(
        json.dumps({"query": "q", "results": rows}).encode(), content_type="application/json"
    )


@pytest.fixture
def searching(context: NetworkContext, site: WebServer) -> NetworkContext:
    site.routes["/search"] = _answer
    return replace(context, search_url=f"{site.url}/")


async def test_results_are_ranked_in_order(searching: NetworkContext, site: WebServer) -> None:
    found = await call(search_web, searching, query="crm & co", limit=4, language="en-US")
    assert [(hit.rank, hit.url, hit.title, hit.snippet) for hit in found.results][2:] == [
        (3, "https://2.example/", "Title 2", "About 2"),
        (4, "https://3.example/", "Title 3", ""),
    ]
    assert site.asked[0].query == {
        "q": ["crm & co"],
        "format": ["json"],
        "pageno": ["1"],
        "language": ["en-US"],
    }


async def test_further_pages_are_asked_for_until_there_is_nothing_new(
    searching: NetworkContext, site: WebServer
) -> None:
    found = await call(search_web, searching, query="crm", limit=100)
    assert [hit.rank for hit in found.results] == list(range(1, 26))
    assert len(site.asked) == 4


async def test_the_configured_engine_may_be_private(site: WebServer) -> None:
    site.routes["/search"] = _answer
    async with build_client(Policy()) as guard:
        context = NetworkContext(guard, search_url=site.url)
        assert (await call(search_web, context, query="crm", limit=1)).results


async def test_without_an_engine_the_setting_is_named(context: NetworkContext) -> None:
    with pytest.raises(ToolError, match="TREADLE_SEARCH_URL") as caught:
        await call(search_web, context, query="crm")
    assert caught.value.code == "search_not_configured"


@pytest.mark.parametrize(
    ("reply", "error_class", "code"),
    [
        (Reply(status=403), ErrorClass.DENIED, "search_refused"),
        (Reply(status=429), ErrorClass.RATE_LIMIT, "http_429"),
        (Reply(status=502), ErrorClass.UPSTREAM, "http_502"),
        (Reply(b"<html>"), ErrorClass.UPSTREAM, "bad_search_answer"),
        (Reply(b'{"results": [{}]}'), ErrorClass.UPSTREAM, "bad_search_answer"),
    ],
)
async def test_a_failing_engine_says_why(
    searching: NetworkContext,
    site: WebServer,
    reply: Reply,
    error_class: ErrorClass,
    code: str,
) -> None:
    site.routes["/search"] = reply
    with pytest.raises(ToolError) as caught:
        await call(search_web, searching, query="crm")
    assert (caught.value.error_class, caught.value.code) == (error_class, code)
