"""Sitemaps: found, followed, bounded."""

import gzip

import pytest
from tests.doubles.network_context import NetworkContext, call
from tests.doubles.web_server import Reply, WebServer

from treadle.integrations.egress import Policy, build_client
from treadle.integrations.errors import EgressDenied, ErrorClass, ToolError
from treadle.integrations.web.sitemap import MAX_FILES, read_sitemap

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*locations: str, lastmod: str = "") -> Reply:
    return xml(urlset_body(*locations, lastmod=lastmod))


def urlset_body(*locations: str, lastmod: str = "") -> bytes:
    dated = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    rows = "".join(f"<url><loc> {place} </loc>{dated}</url>" for place in locations)
    return f'<?xml version="1.0"?><urlset {NAMESPACE}>{rows}</urlset>'.encode()


def index(*locations: str) -> Reply:
    rows = "".join(f"<sitemap><loc>{place}</loc></sitemap>" for place in locations)
    return xml(f"<sitemapindex {NAMESPACE}>{rows}</sitemapindex>".encode())


def xml(body: bytes) -> Reply:
    return Reply(body, content_type="application/xml")


def robots(text: str) -> Reply:
    return Reply(text.encode(), content_type="text/plain")


async def test_the_usual_place_is_read(context: NetworkContext, site: WebServer) -> None:
    site.routes["/sitemap.xml"] = urlset(f"{site.url}/a", "/b", lastmod="2026-11-01")
    found = await call(read_sitemap, context, url=f"{site.url}/some/page")
    assert [(page.url, page.lastmod) for page in found.urls] == [
        (f"{site.url}/a", "2026-11-01"),
        (f"{site.url}/b", "2026-11-01"),
    ]
    assert found.sitemaps == [f"{site.url}/sitemap.xml"]
    assert not found.truncated


async def test_robots_names_indexes_that_name_gzip_and_text(
    context: NetworkContext, site: WebServer
) -> None:
    site.routes |= {
        "/robots.txt": robots(f"Sitemap: {site.url}/index.xml\nSitemap: /more.txt\n"),
        "/index.xml": index(
            f"{site.url}/one.xml.gz", f"{site.url}/gone.xml", f"{site.url}/index.xml"
        ),
        "/one.xml.gz": Reply(
            gzip.compress(urlset_body("/a", "/b")), content_type="application/gzip"
        ),
        "/more.txt": robots(f"{site.url}/b\n{site.url}/c\nnot a url\n"),
    }
    found = await call(read_sitemap, context, url=site.url)
    assert [page.url for page in found.urls] == [f"{site.url}/{name}" for name in "bca"]
    assert found.skipped == [f"{site.url}/gone.xml answers with status 404 Not Found"]


async def test_one_sitemap_can_be_named(context: NetworkContext, site: WebServer) -> None:
    site.routes["/blog.xml"] = urlset("/a")
    found = await call(read_sitemap, context, url=f"{site.url}/blog.xml")
    assert [page.url for page in found.urls] == [f"{site.url}/a"]
    assert site.paths() == ["/blog.xml"]


async def test_the_limit_holds_and_is_told(context: NetworkContext, site: WebServer) -> None:
    site.routes["/sitemap.xml"] = urlset(*(f"/{number}" for number in range(10)))
    found = await call(read_sitemap, context, url=site.url, limit=4)
    assert (len(found.urls), found.truncated) == (4, True)
    found = await call(read_sitemap, context, url=site.url, limit=10)
    assert (len(found.urls), found.truncated) == (10, False)


async def test_a_maze_of_indexes_ends(context: NetworkContext, site: WebServer) -> None:
    places = [f"/{number}.xml" for number in range(200)]
    site.routes |= {place: index(*(f"{site.url}{other}" for other in places)) for place in places}
    found = await call(read_sitemap, context, url=f"{site.url}/0.xml")
    assert len(site.asked) == MAX_FILES
    assert (found.urls, found.truncated) == ([], True)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=404), "answers with status 404"),
        (xml(b"<html><body>Not found</body></html>"), "its root element is <html>"),
        (xml(b"<"), "is no sitemap"),
        (
            Reply(gzip.compress(b"\0" * 11_000_000), content_type="application/gzip"),
            "unfolds to more",
        ),
        (Reply(b"\x1f\x8bnot gzip"), "is no sitemap"),
    ],
)
async def test_without_a_sitemap_the_reason_is_told(
    context: NetworkContext, site: WebServer, reply: Reply, reason: str
) -> None:
    site.routes["/sitemap.xml"] = reply
    with pytest.raises(ToolError, match="has no sitemap that can be read") as caught:
        await call(read_sitemap, context, url=site.url)
    assert (caught.value.error_class, caught.value.code) == (ErrorClass.INVALID_INPUT, "no_sitemap")
    assert reason in caught.value.message


async def test_entities_of_a_sitemap_stay_closed(context: NetworkContext, site: WebServer) -> None:
    trap = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><urlset {NAMESPACE}>'
    site.routes["/sitemap.xml"] = xml(f"{trap}<url><loc>/a&e;</loc></url></urlset>".encode())
    found = await call(read_sitemap, context, url=site.url)
    assert all("root" not in page.url for page in found.urls)


async def test_a_private_site_is_denied(site: WebServer) -> None:
    async with build_client(Policy()) as guard:
        with pytest.raises(EgressDenied):
            await call(read_sitemap, NetworkContext(guard), url=site.url)
    assert site.connections == 0
