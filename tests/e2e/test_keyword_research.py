"""The bundled template on pages that can be read and on pages that cannot."""

from datetime import timedelta

import pytest
from pydantic import JsonValue
from tests.e2e.conftest import Corpus, addresses

from treadle.platform.client import Client, Run
from treadle.platform.demo.recount import holds, recounted, sample_figures
from treadle.platform.demo.rows import TableRow, rows_of
from treadle.platform.demo.sites import SampleWeb, Site

pytestmark = pytest.mark.slow
MINUTES = timedelta(minutes=2)


def research(treadle: Client, **inputs: JsonValue) -> Run:
    run = treadle.create_run("keyword-research", inputs)
    ended = treadle.wait(run.id, timeout=MINUTES)
    assert ended.status == "succeeded", ended.error
    return ended


def unread(run: Run) -> dict[str, str]:
    found = (run.outputs or {})["unread"]
    assert isinstance(found, list)
    rows = [row for row in found if isinstance(row, dict)]
    return {str(row["url"]): str(row["reason"]) for row in rows}


def check_figures(rows: tuple[TableRow, ...], *, size: int) -> None:
    checked = recounted(sample_figures(rows, size=size))
    assert len(checked) == size
    wrong = [(figure, found) for figure, found in checked if not holds(figure, found)]
    assert wrong == []


def test_a_page_that_fails_costs_only_its_row(
    treadle: Client, samples: SampleWeb, troubled: Site, closed_port: int
) -> None:
    site = samples.sites[2]
    good = f"{site.origin}/crm-pricing.html"
    bad = {
        f"{troubled.origin}/private/plan.html": "robots.txt",
        f"{troubled.origin}/broken": "500",
        f"{site.origin}/missing.html": "404",
        f"http://127.0.0.1:{closed_port}/": "127.0.0.1",
        "http://10.0.0.1/": "10.0.0.1",
    }
    run = research(treadle, seeds=["crm"], urls=[good, *bad])
    reasons = unread(run)
    assert set(reasons) == set(bad)
    for url, word in bad.items():
        assert word in reasons[url]
    row = next(row for row in rows_of(run.outputs) if row.keyword == "crm pricing")
    assert {use.url for use in row.evidence} == {good}


def test_a_site_without_a_sitemap_gives_its_first_page(treadle: Client, troubled: Site) -> None:
    run = research(treadle, seeds=["crm"], site=f"{troubled.origin}/private/")
    notes = (run.outputs or {})["notes"]
    assert isinstance(notes, list)
    assert any("sitemap" in str(note) for note in notes)
    assert set(unread(run)) == {f"{troubled.origin}/private/"}


def test_seeds_alone_give_ideas_and_say_so(treadle: Client) -> None:
    run = research(treadle, seeds=["crm"])
    assert {row.opportunity for row in rows_of(run.outputs)} == {None}
    notes = (run.outputs or {})["notes"]
    assert isinstance(notes, list)
    assert "No page could be read: the table holds ideas only." in notes


def test_real_documentation_gives_keywords_that_make_sense(treadle: Client, corpus: Corpus) -> None:
    urls: list[JsonValue] = [url for site in corpus.sites for url in addresses(site)]
    run = research(treadle, seeds=["workflow automation", "ai agent"], urls=urls)
    assert unread(run) == {}
    rows = rows_of(run.outputs)
    keywords = {row.keyword for row in rows}
    assert keywords >= {"knowledge base", "mcp server", "schedule trigger", "dify vs flowise"}
    assert not keywords & {"get started", "read more", "settings", "tools", "page", "dify"}
    by_keyword = {row.keyword: row for row in rows}
    assert by_keyword["knowledge base"].intent == "informational"
    assert by_keyword["dify vs flowise"].intent == "commercial"
    assert by_keyword["workflow automation pricing"].intent == "transactional"
    check_figures(rows, size=10)


def test_real_search_results_give_difficulty_and_clusters(treadle: Client, corpus: Corpus) -> None:
    run = research(
        treadle,
        seeds=["knowledge base"],
        site=f"{corpus.sites[0].origin}/",
        use_search=True,
        max_searches=20,
    )
    rows = rows_of(run.outputs)
    searched = [row for row in rows if row.difficulty_proxy is not None]
    assert len(searched) >= 10
    assert all(0 <= (row.difficulty_proxy or 0) <= 1 for row in searched)
    check_figures(rows, size=10)
