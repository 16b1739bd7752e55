"""The keyword table: figures with evidence, scores with parts, nulls with reasons."""

from tests.integrations.seo.sample import call, page

from treadle.integrations.seo.pages import Page
from treadle.integrations.seo.rows import Row
from treadle.integrations.seo.score import score_keywords

PAGES = [
    page(
        "pricing",
        title="CRM pricing",
        headings=["CRM pricing", "Free trial"],
        text="CRM pricing is simple. Ask us about the sales pipeline.",
    ),
    page("blog", title="Sales pipeline guide", text="A sales pipeline. Sales pipelines help."),
    page("x", title="CRM pricing compared", headings=["CRM pricing"], site="https://rival.example"),
]


def rows(keywords: list[str], pages: list[Page] = PAGES, **more: object) -> dict[str, Row]:
    scored = call(score_keywords, keywords=keywords, pages=[p.model_dump() for p in pages], **more)
    return {row.keyword: row for row in scored.rows}


def test_every_count_can_be_made_again() -> None:
    row = rows(["sales pipeline"])["sales pipeline"]
    assert row.count == sum(use.count for use in row.evidence) == 4
    assert {(use.url.rsplit("/")[-1], use.zone, use.text, use.count) for use in row.evidence} == {
        ("pricing", "body", "sales pipeline", 1),
        ("blog", "title", "sales pipeline", 1),
        ("blog", "body", "sales pipeline", 1),
        ("blog", "body", "sales pipelines", 1),
    }


def test_a_heading_is_not_counted_again_in_the_main_text_that_repeats_it() -> None:
    doc = page("a", title="x", headings=["CRM pricing"], text="CRM pricing\nOur crm pricing.")
    row = rows(["crm pricing"], [doc])["crm pricing"]
    assert {use.zone: use.count for use in row.evidence} == {"headings": 1, "body": 1}


def test_what_only_a_provider_knows_is_null_with_a_reason() -> None:
    row = rows(["crm pricing"])["crm pricing"]
    assert (row.volume, row.cpc, row.trend, row.difficulty_proxy) == (None, None, None, None)
    assert {"volume", "cpc", "trend", "difficulty_proxy", "serp_features"} <= set(row.unknown)
    assert all(row.unknown.values())


def test_brought_figures_are_shown_with_their_source() -> None:
    metric = {"keyword": "crm pricing", "source": "planner.csv", "volume": 999, "cpc": 1.5}
    row = rows(["crm pricing"], metrics=[metric])["crm pricing"]
    assert (row.volume, row.cpc, row.demand_source) == (999, 1.5, "volume of planner.csv")
    assert "volume" not in row.unknown
    assert row.demand_proxy == 0.6


def test_opportunity_is_the_formula_on_the_parts_shown() -> None:
    hits = [{"url": f"https://a{n}.example/x", "title": "CRM pricing"} for n in range(10)]
    serps = [{"keyword": "crm pricing", "hits": hits}]
    row = rows(["crm pricing"], serps=serps, seeds=["crm"])["crm pricing"]
    parts = row.opportunity_parts
    assert parts.demand is not None
    assert parts.fit is not None
    assert parts.difficulty is not None
    assert abs(parts.value - (0.35 * parts.intent_value + 0.65 * parts.demand)) < 0.001
    expected = 100 * parts.value * parts.fit * (1 - parts.difficulty)
    assert row.opportunity is not None
    assert abs(row.opportunity - expected) < 0.1


def test_difficulty_is_the_formula_on_its_parts() -> None:
    hits = [
        {"url": "https://en.wikipedia.org/wiki/CRM", "title": "CRM pricing"},
        {"url": "https://www.reddit.com/r/crm", "title": "What does it cost?"},
        {"url": "https://a.example/", "title": "CRM pricing and more"},
    ]
    row = rows(["crm pricing"], serps=[{"keyword": "crm pricing", "hits": hits}])["crm pricing"]
    parts = row.difficulty_parts
    assert parts is not None
    assert (parts.big_domains, parts.exact_titles, parts.home_pages, parts.forums) == (
        0.333,
        0.667,
        0.333,
        0.333,
    )
    raw = 0.35 / 3 + 0.30 * 2 / 3 + 0.25 * 2 / 3 + 0.10 / 3 - 0.20 / 3
    assert row.difficulty_proxy == round(raw, 3)


def test_an_idea_has_no_opportunity_and_ranks_last() -> None:
    found = list(rows(["crm for plumbers", "crm pricing"], ideas=["CRM for plumbers"]).values())
    assert [(row.keyword, row.basis) for row in found] == [
        ("crm pricing", "measured"),
        ("crm for plumbers", "idea"),
    ]
    assert found[1].opportunity is None
    assert "opportunity" in found[1].unknown
    assert found[1].source == "idea of a model"


def test_results_alone_make_no_opportunity() -> None:
    hits = [{"url": f"https://a{n}.example/x", "title": "x"} for n in range(10)]
    serps = [{"keyword": "crm for plumbers", "hits": hits}]
    found = list(rows(["crm for plumbers", "crm pricing"], serps=serps).values())
    assert [(row.keyword, row.opportunity is None) for row in found] == [
        ("crm pricing", False),
        ("crm for plumbers", True),
    ]
    assert found[1].basis == "measured"
    assert "demand" in found[1].unknown["opportunity"]


def test_unknown_difficulty_ranks_apart() -> None:
    hits = [{"url": f"https://a{n}.example/x", "title": "Sales pipeline"} for n in range(10)]
    serps = [{"keyword": "sales pipeline", "hits": hits}]
    found = list(rows(["crm pricing", "sales pipeline"], serps=serps).values())
    assert [row.keyword for row in found] == ["sales pipeline", "crm pricing"]
    assert (found[0].opportunity or 0) < (found[1].opportunity or 0)


def test_own_page_position_and_rivals_are_told_apart() -> None:
    hits = [{"url": f"https://h{n}.example/", "title": "x", "rank": n} for n in range(1, 5)]
    hits.append({"url": "https://shop.example/pricing", "title": "CRM pricing", "rank": 5})
    serps = [{"keyword": "crm pricing", "hits": hits}]
    row = rows(["crm pricing"], serps=serps, own_site="https://shop.example/")["crm pricing"]
    assert row.your_url == "https://shop.example/pricing"
    assert row.your_position == 5
    assert "rival.example" in row.competitors
    assert "shop.example" not in row.competitors


def test_two_own_pages_for_one_keyword_are_both_targets() -> None:
    twin = page("prices", title="CRM pricing table", text="x")
    row = rows(["crm pricing"], [*PAGES, twin], own_site="shop.example")["crm pricing"]
    assert row.target_pages == ["https://shop.example/pricing", "https://shop.example/prices"]


def test_no_pages_at_all_still_give_a_table() -> None:
    assert rows(["crm"], [])["crm"].evidence == []
