"""Reading pages: what is found, and what is said when there is nothing to find."""

import asyncio
import hashlib
import itertools

import pytest
from tests.doubles.network_context import NetworkContext, call
from tests.doubles.web_server import Reply, WebServer, html, redirect

from treadle.integrations.egress import Policy, build_client
from treadle.integrations.errors import EgressDenied, ErrorClass, ToolError
from treadle.integrations.web.fetch import fetch_page

PAGE = """<!doctype html>
<html lang="en-GB"><head>
<title> Workflow
  automation </title>
<meta name="description" content="How &amp; why">
<meta name="Robots" content="index, follow">
<meta property="og:title" content="OG title"><meta property="og:image" content="/i.png">
<link rel="shortlink canonical" href="/automation">
<script type="application/ld+json">{"@type": "Article", "headline": "Workflow automation"}</script>
<script type="application/ld+json">{broken</script>
</head><body>
<nav><a href="/">Home</a> <a href="/pricing">Pricing</a></nav>
<main><article>
<h1>Workflow <em>automation</em></h1>
<p>Automation of workflows lets a team stop copying figures from one table into another, which is
what most people spend their mornings on before anybody has had the first coffee of the day.</p>
<h2>Why it pays</h2>
<p>It pays because machines neither tire nor forget; a workflow that was described once runs the
same way every time, and its log shows what it did and when. See the
<a href="https://partner.example/guide#part" rel="nofollow sponsored">guide of a partner</a>,
<a href="mailto:a@b.example">mail</a>, <a href="javascript:x()">a trap</a>,
<a href="#top">top</a> and <a href="plans?tier=2">plans</a>.</p>
</article></main>
<script>var hidden = "not text";</script>
<footer>Imprint</footer></body></html>"""


async def failing(context: NetworkContext, url: str) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await call(fetch_page, context, url=url)
    return caught.value


async def test_a_page_is_read_whole(context: NetworkContext, site: WebServer) -> None:
    site.routes["/automation"] = html(PAGE)
    page = await call(fetch_page, context, url=f"{site.url}/automation#here")
    assert (page.status, page.title) == (200, "Workflow automation")
    assert page.url == f"{site.url}/automation#here"
    assert page.final_url == f"{site.url}/automation"
    assert [(heading.level, heading.text) for heading in page.headings] == [
        (1, "Workflow automation"),
        (2, "Why it pays"),
    ]
    assert page.meta.model_dump() == {
        "description": "How & why",
        "canonical": f"{site.url}/automation",
        "robots": "index, follow",
        "lang": "en-GB",
        "author": None,
        "keywords": None,
        "og": {"title": "OG title", "image": "/i.png"},
    }
    assert page.json_ld == [{"@type": "Article", "headline": "Workflow automation"}]
    assert "machines neither tire nor forget" in page.text
    assert "not text" not in page.text
    assert page.word_count == len(page.text.split())
    assert page.sha256 == hashlib.sha256(PAGE.encode()).hexdigest()
    assert page.bytes == len(PAGE.encode())


async def test_links_are_absolute_and_of_the_web(context: NetworkContext, site: WebServer) -> None:
    site.routes["/a/b"] = html(PAGE)
    page = await call(fetch_page, context, url=f"{site.url}/a/b")
    assert [(link.url, link.text, link.rel, link.internal) for link in page.links] == [
        (f"{site.url}/", "Home", "", True),
        (f"{site.url}/pricing", "Pricing", "", True),
        ("https://partner.example/guide", "guide of a partner", "nofollow sponsored", False),
        (f"{site.url}/a/plans?tier=2", "plans", "", True),
    ]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=utf-8", "<title>Grüße 世界</title>".encode()),
        ("text/html", '<meta charset="shift_jis"><title>Gr 世界</title>'.encode("shift_jis")),
        ("text/html", b"\xef\xbb\xbf" + "<title>Grüße 世界</title>".encode()),
        ("text/html; charset=iso-8859-1", "<title>Grüße “ok”</title>".encode("cp1252")),
        ("text/html; charset=nonsense", "<title>Grüße</title>".encode()),
        ("text/html", "<title>Grüße</title>".encode("cp1252")),
        ("text/html; charset=rot13", "<title>Grüße</title>".encode()),
    ],
)
async def test_any_charset_is_read(
    context: NetworkContext, site: WebServer, content_type: str, body: bytes
) -> None:
    site.routes["/"] = Reply(body, content_type=content_type)
    page = await call(fetch_page, context, url=f"{site.url}/")
    assert (page.title or "").startswith("Gr")
    assert "�" not in (page.title or "")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "   ",
        "just words",
        "<html></html>",
        "<div>" * 100_000,
        "<b><i>" * 50_000 + "x",
        "<title>a\x00b</title>\x00",
        "<title>a</title><base href='http://[bad'><a href='x'>l</a><a href='http://[::1'>m</a>",
        "<p>&#xD800;&#0;</p>",
        "<!--" + "-" * 100_000,
    ],
)
async def test_no_page_is_too_odd_to_read(
    context: NetworkContext, site: WebServer, body: str
) -> None:
    site.routes["/"] = html(body)
    page = await call(fetch_page, context, url=f"{site.url}/")
    stored = page.model_dump_json()
    assert "\\u0000" not in stored
    stored.encode()


async def test_a_redirect_is_followed_and_shown(context: NetworkContext, site: WebServer) -> None:
    site.routes |= {"/old": redirect("/new"), "/new": html(PAGE)}
    page = await call(fetch_page, context, url=f"{site.url}/old")
    assert (page.url, page.final_url) == (f"{site.url}/old", f"{site.url}/new")
    assert page.links[3].url == f"{site.url}/plans?tier=2"


@pytest.mark.parametrize(
    ("reply", "error_class", "code"),
    [
        (Reply(status=404), ErrorClass.INVALID_INPUT, "http_404"),
        (Reply(status=410), ErrorClass.INVALID_INPUT, "http_410"),
        (Reply(status=403), ErrorClass.DENIED, "http_403"),
        (Reply(status=429), ErrorClass.RATE_LIMIT, "http_429"),
        (Reply(status=500), ErrorClass.UPSTREAM, "http_500"),
        (Reply(status=599), ErrorClass.UPSTREAM, "http_599"),
        (Reply(hangs_up=True), ErrorClass.UPSTREAM, "bad_answer"),
        (
            Reply(b"%PDF", content_type="application/pdf"),
            *[ErrorClass.INVALID_INPUT, "content_type_refused"],
        ),
        (Reply(itertools.repeat(b"x" * 9999)), ErrorClass.DENIED, "response_too_large"),
    ],
)
async def test_each_failure_says_what_it_is(
    context: NetworkContext, site: WebServer, reply: Reply, error_class: ErrorClass, code: str
) -> None:
    site.routes["/x"] = reply
    error = await failing(context, f"{site.url}/x")
    assert (error.error_class, error.code) == (error_class, code)
    assert f"{site.url}/x" in error.message


async def test_an_unreachable_site_is_upstream(context: NetworkContext) -> None:
    error = await failing(context, "http://127.0.0.1:9/")
    assert (error.error_class, error.code) == (ErrorClass.UPSTREAM, "robots_unreachable")
    assert "could not be reached" in error.message


async def test_a_private_address_is_denied_with_the_remedy(site: WebServer) -> None:
    async with build_client(Policy()) as guard:
        error = await failing(NetworkContext(guard), f"{site.url}/")
    assert isinstance(error, EgressDenied)
    assert f"add 127.0.0.1:{site.port} to TREADLE_EGRESS_ALLOW" in error.message
    assert site.connections == 0


async def test_robots_are_obeyed_by_default(context: NetworkContext, site: WebServer) -> None:
    site.routes |= {
        "/robots.txt": Reply(
            b"User-agent: Treadle\nDisallow: /private\n", content_type="text/plain"
        ),
        "/private/x": html(PAGE),
        "/open": html(PAGE),
        "/way": redirect("/private/x"),
    }
    error = await failing(context, f"{site.url}/private/x")
    assert (error.error_class, error.code) == (ErrorClass.DENIED, "robots_denied")
    assert "does not allow Treadle to fetch '/private/x'" in error.message
    assert (await call(fetch_page, context, url=f"{site.url}/open")).status == 200
    assert (await failing(context, f"{site.url}/way")).code == "robots_denied"
    own = await call(fetch_page, context, url=f"{site.url}/private/x", robots="ignore")
    assert own.status == 200
    assert site.paths().count("/robots.txt") == 1


@pytest.mark.parametrize(
    ("reply", "is_allowed"),
    [
        (Reply(status=404), True),
        (Reply(status=403), True),
        (Reply(status=500), False),
        (Reply(hangs_up=True), False),
        (redirect("/robots.txt"), True),
        (Reply(b"User-agent: *\nDisallow: /\n", content_type="text/plain"), False),
        (Reply(b"\xff\xfe garbage", content_type="text/plain"), True),
        (Reply(b"User-agent: *\nDisallow: /\n" + b"#" * 600_000, content_type="text/plain"), False),
    ],
)
async def test_a_failing_robots_file_means_what_the_rfc_says(
    context: NetworkContext, site: WebServer, reply: Reply, is_allowed: bool
) -> None:
    site.routes |= {"/robots.txt": reply, "/": html(PAGE)}
    if is_allowed:
        assert (await call(fetch_page, context, url=f"{site.url}/")).status == 200
    else:
        assert (await failing(context, f"{site.url}/")).code in {
            "robots_denied",
            "robots_unreachable",
        }
        assert "/" not in site.paths()


async def test_many_pages_of_a_site_ask_for_its_robots_once(
    context: NetworkContext, site: WebServer
) -> None:
    site.routes |= {f"/{number}": html(PAGE) for number in range(8)}
    await asyncio.gather(
        *(call(fetch_page, context, url=f"{site.url}/{number}") for number in range(8))
    )
    assert site.paths().count("/robots.txt") == 1
