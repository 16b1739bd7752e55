"""The sample sites as they are served, and the search over them."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from typing_extensions import override

from treadle.integrations.web.page import read_page
from treadle.platform.demo.search import Document, SearchIndex
from treadle.platform.demo.sites import SAMPLES, SampleWeb, served_samples

PAGES = sorted(SAMPLES.glob("*/*.html"))


@pytest.fixture(scope="module")
def web() -> Iterator[SampleWeb]:
    with served_samples() as served:
        yield served


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as client:
        yield client


def get(http: httpx.Client, url: str) -> str:
    answer = http.get(url)
    assert answer.status_code == HTTPStatus.OK, url
    return answer.text


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if target and not target.startswith("#"):
            self.found.append(target)


def test_there_are_three_sites_of_eight_pages(web: SampleWeb) -> None:
    assert [site.name for site in web.sites] == ["bellacrema", "fernpath", "pillarbook"]
    assert len(PAGES) == 24


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_page_is_realistic(file: Path) -> None:
    content = read_page(file.read_text(encoding="utf-8"), "http://sample.example/")
    assert 300 <= len(content.text.split()) <= 600
    assert content.title
    assert content.meta.description
    assert content.headings[0].level == 1
    assert len(content.headings) >= 5
    assert content.json_ld


def test_every_link_leads_somewhere(web: SampleWeb, http: httpx.Client) -> None:
    for site in web.sites:
        for file in (SAMPLES / site.name).glob("*.html"):
            links = Links()
            links.feed(file.read_text(encoding="utf-8"))
            for target in set(links.found):
                assert get(http, urljoin(f"{site.origin}/", target))


def test_robots_and_sitemap_name_the_address_they_are_served_at(
    web: SampleWeb, http: httpx.Client
) -> None:
    origin = web.origins[0]
    assert f"Sitemap: {origin}/sitemap.xml" in get(http, f"{origin}/robots.txt")
    assert get(http, f"{origin}/sitemap.xml").count(f"<loc>{origin}/") == 8


def test_nothing_else_is_served(web: SampleWeb, http: httpx.Client) -> None:
    for path in ("/../pillarbook/index.html", "/none.html", "/style"):
        assert http.get(web.origins[0] + path).status_code == HTTPStatus.NOT_FOUND


def test_search_answers_as_searxng_does(web: SampleWeb, http: httpx.Client) -> None:
    answer = json.loads(get(http, f"{web.search_url}/search?q=hut+to+hut+trek&format=json"))
    first = answer["results"][0]
    assert first["url"].endswith("/stubai-hut-to-hut-trek.html")
    assert {"url", "title", "content", "engine", "score"} <= set(first)


def test_a_page_beyond_the_results_is_empty() -> None:
    index = SearchIndex([Document("http://a.example/", "Tea", "green tea")])
    assert index.answer("tea", page=1)["number_of_results"] == 1
    assert index.answer("tea", page=2)["results"] == []
    assert index.search("coffee") == []
