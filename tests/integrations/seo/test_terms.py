"""Phrases of pages: what counts as one, where it stands, and what is left out."""

import pytest
from tests.integrations.seo.sample import call, page

from treadle.integrations.seo.candidates import candidates
from treadle.integrations.seo.pages import Page, Zone
from treadle.integrations.seo.terms import Terms, find_terms

MENU = ["Free shipping", "Read more", "Shopping basket", "Privacy policy"]


def phrases(line: str, zone: Zone = Zone.BODY) -> set[str]:
    return {candidate.text for candidate in candidates(line, zone)}


def shop() -> list[Page]:
    topics = ["espresso machine", "coffee grinder", "milk jug", "water filter"]
    return [
        page(
            f"{number}.html",
            title=f"{topic.capitalize()} buying advice | Bellacrema",
            headings=[f"{topic.capitalize()} buying advice", f"{topic.capitalize()} care", *MENU],
            text="\n".join([*MENU, *[f"A {topic} lasts long. This {topic} is fine."] * 2]),
            links=MENU,
            description=f"Which {topic} to choose.",
        )
        for number, topic in enumerate(topics)
    ]


def terms(pages: list[Page], **arguments: object) -> Terms:
    return call(find_terms, pages=[p.model_dump() for p in pages], **arguments)


def test_a_term_has_its_count_in_each_zone_of_each_page() -> None:
    found = terms(shop())
    term = next(t for t in found.terms if t.text == "espresso machine")
    assert term.zones == {Zone.TITLE: 1, Zone.HEADINGS: 2, Zone.DESCRIPTION: 1, Zone.BODY: 4}
    assert term.pages == 1
    assert {(row.zone, row.count, row.text) for row in term.evidence} >= {
        (Zone.BODY, 4, "espresso machine"),
        (Zone.TITLE, 1, "espresso machine"),
    }
    assert {row.url for row in term.evidence} == {"https://shop.example/0.html"}


def test_what_stands_on_every_page_of_a_site_is_no_keyword() -> None:
    words = " ".join(terms(shop()).keywords)
    for line in MENU:
        assert line.lower() not in words


def test_the_name_of_the_site_is_found_and_left_out() -> None:
    found = terms(shop())
    assert found.brands == {"shop.example": "bellacrema"}
    assert "bellacrema" not in found.keywords


@pytest.mark.parametrize(
    "line",
    ["Read more", "the and of", "it is what it was", "2024", "very quickly", "click here"],
)
def test_stop_words_and_boilerplate_make_no_phrase(line: str) -> None:
    assert phrases(line, Zone.HEADINGS) == set()


@pytest.mark.parametrize(
    "line",
    ["export DIFY_SECRET_KEY=abc", "chatMessageId", "/api/v1/prediction", "${HOME}/bin; {}; <b>"],
)
def test_code_makes_no_phrase(line: str) -> None:
    assert not phrases(line) & {"dify", "chatmessageid", "prediction", "api", "secret", "key"}


def test_punctuation_ends_a_phrase() -> None:
    found = phrases("Compare espresso machines, coffee grinders and milk jugs.")
    assert {"espresso machines", "coffee grinders", "milk jugs"} <= found
    assert "machines coffee" not in found


def test_a_heading_may_open_with_a_verb_and_hold_a_connector() -> None:
    assert "deploy flowise on aws" in phrases(
        "How to deploy Flowise on AWS", Zone.HEADINGS
    ) | phrases("Deploy Flowise on AWS", Zone.HEADINGS)
    assert "deploy flowise on aws" not in phrases("You can deploy Flowise on AWS today.")


def test_a_part_of_a_longer_term_gives_way_to_it() -> None:
    text = "\n".join(["The heat exchanger machine heats. A heat exchanger machine steams."] * 3)
    found = terms([page("a", title="Heat exchanger machine", text=text)])
    assert "heat exchanger machine" in found.keywords
    assert "exchanger machine" not in found.keywords


def test_plural_and_case_are_one_term() -> None:
    text = "\n".join(["Espresso machines are loud.", "An espresso machine is loud."] * 3)
    found = terms([page("a", title="Espresso machines", text=text)])
    assert [t.text for t in found.terms if "espresso" in t.text] == ["espresso machines"]
    assert found.terms[0].zones[Zone.BODY] == 6


def test_a_page_that_failed_is_named_and_costs_nothing_else() -> None:
    gone = Page(url="https://shop.example/gone", error="robots.txt refuses /gone")
    found = terms([*shop(), gone])
    assert [(row.url, row.reason) for row in found.unread] == [
        ("https://shop.example/gone", "robots.txt refuses /gone")
    ]
    assert len(found.pages) == 4


def test_null_pages_are_skipped() -> None:
    assert call(find_terms, pages=[None]).keywords == []


def test_fit_is_unknown_without_seeds_and_whole_for_a_seed() -> None:
    assert {term.fit for term in terms(shop()).terms} == {None}
    found = terms(shop(), seeds=["espresso machine"])
    assert next(t for t in found.terms if t.text == "espresso machine").fit == 1.0


def test_excluded_terms_have_a_reason() -> None:
    assert all(row.reason for row in terms(shop()).excluded)
