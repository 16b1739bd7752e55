"""The plan: what is in it, and that it rests on the table."""

from tests.integrations.seo.sample import call, page

from treadle.integrations.seo.cluster import cluster_keywords
from treadle.integrations.seo.plan import Plan, make_plan
from treadle.integrations.seo.plan_items import ItemKind, PlanItem
from treadle.integrations.seo.score import score_keywords

KEYWORDS = [
    "sales pipeline",
    "sales pipeline stages",
    "sales pipeline review",
    "crm pricing",
    "how to find duplicate contacts",
]
PAGES = [
    page("a", title="CRM pricing", text="CRM pricing. Sales pipeline. Sales pipeline stages."),
    page("b", title="CRM pricing list", text="How to find duplicate contacts"),
]


def plan(**more: object) -> Plan:
    clusters = call(cluster_keywords, keywords=KEYWORDS).clusters
    scored = call(
        score_keywords,
        keywords=KEYWORDS,
        pages=[p.model_dump() for p in PAGES],
        clusters=[cluster.model_dump() for cluster in clusters],
        own_site="shop.example",
    )
    return call(make_plan, rows=[row.model_dump(mode="json") for row in scored.rows], **more)


def of_kind(made: Plan, kind: ItemKind) -> list[PlanItem]:
    return [item for item in made.items if item.kind is kind]


def test_a_wide_cluster_is_a_pillar() -> None:
    (pillar,) = of_kind(plan(), ItemKind.PILLAR)
    assert pillar.keyword == "sales pipeline"
    assert set(pillar.keywords) == set(KEYWORDS[:3])


def test_pages_are_for_clusters_that_no_own_page_serves() -> None:
    assert [item.keyword for item in of_kind(plan(), ItemKind.PAGE)] == ["sales pipeline"]


def test_two_own_pages_for_one_keyword_are_in_each_others_way() -> None:
    (conflict,) = of_kind(plan(), ItemKind.CANNIBALISATION)
    assert conflict.keyword == "crm pricing"


def test_used_but_not_targeted_is_a_quick_win() -> None:
    wins = of_kind(plan(), ItemKind.QUICK_WIN)
    assert {"sales pipeline", "sales pipeline stages"} <= {item.keyword for item in wins}
    assert {item.url for item in wins} == {"https://shop.example/a"}


def test_questions_are_listed() -> None:
    assert [i.keyword for i in of_kind(plan(), ItemKind.QUESTION)] == [KEYWORDS[4]]


def test_every_figure_of_the_text_names_its_page() -> None:
    made = plan()
    for item in made.items:
        for use in item.evidence[:2]:
            assert f"“{use.text}” {use.count}x in {use.zone} of <{use.url}>" in made.markdown


def test_remarks_excluded_terms_and_unread_pages_are_said() -> None:
    made = plan(
        note="Shorter, please",
        notes=["No model helped."],
        excluded=[{"text": "thing", "reason": "generic words only"}],
        unread=[{"url": "https://shop.example/gone", "reason": "404"}],
    )
    for line in (
        "Asked for in review: Shorter, please",
        "- No model helped.",
        "- thing: generic words only",
        "- Not read: https://shop.example/gone (404)",
    ):
        assert line in made.markdown


def test_rows_of_a_bare_search_are_scored_first() -> None:
    rows: list[dict[str, object]] = [
        {"keyword": "crm", "hits": []},
        {"keyword": "best crm", "hits": None},
    ]
    made = call(make_plan, rows=rows, note="")
    assert {item.keyword for item in of_kind(made, ItemKind.PAGE)} == {"crm"}


def test_no_rows_make_a_plan_that_says_so() -> None:
    assert "There are no keywords to plan with." in call(make_plan, rows=[]).markdown
