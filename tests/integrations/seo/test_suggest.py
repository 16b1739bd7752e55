"""Suggestions around seeds: patterns by kind and language, and what pages say."""

import pytest
from tests.integrations.seo.sample import call, page

from treadle.integrations.seo.english import with_article
from treadle.integrations.seo.languages import Kind
from treadle.integrations.seo.suggest import kind_of, suggest_keywords


def test_seeds_come_first_and_patterns_are_named() -> None:
    found = call(suggest_keywords, seeds=["CRM"])
    assert found.keywords[0] == "crm"
    assert found.sources["crm"] == "seed"
    assert found.sources["best crm"] == "pattern: best {}"
    assert set(found.sources) == set(found.keywords)


def test_software_words_are_offered_for_software_only() -> None:
    assert "open source crm" in call(suggest_keywords, seeds=["crm"]).keywords
    shoes = call(suggest_keywords, seeds=["running shoes"]).keywords
    assert not any("open source" in keyword or "software" in keyword for keyword in shoes)
    assert "buy running shoes" in shoes


def test_the_kind_comes_from_the_pages_when_the_seed_does_not_tell() -> None:
    product = page("a", title="Kettle", text="In stock", json_ld={"@type": "Product"})
    assert kind_of(["kettle"], [product]) is Kind.GOODS
    assert kind_of(["kettle"], []) is Kind.OTHER


def test_a_seed_that_begins_with_a_verb_becomes_a_how_to() -> None:
    found = call(suggest_keywords, seeds=["build a chatbot"]).keywords
    assert "how to build a chatbot" in found
    assert "best build a chatbot" not in found


def test_plural_seeds_get_plural_verbs() -> None:
    found = call(suggest_keywords, seeds=["hiking tours"]).keywords
    assert "what are hiking tours" in found
    assert "what is hiking tours" not in found


@pytest.mark.parametrize(
    ("noun", "with_it"),
    [
        ("espresso machine", "an espresso machine"),
        ("sales pipeline", "a sales pipeline"),
        ("mcp server", "an mcp server"),
        ("crm", "a crm"),
        ("unicycle", "a unicycle"),
        ("hour glass", "an hour glass"),
        ("workflow automation", "workflow automation"),
        ("hiking tours", "hiking tours"),
        ("coffee", "coffee"),
    ],
)
def test_single_things_have_an_article(noun: str, with_it: str) -> None:
    assert with_article(noun) == with_it


def test_questions_are_good_english() -> None:
    found = call(suggest_keywords, seeds=["sales pipeline"])
    assert found.sources["how does a sales pipeline work"] == "pattern: how does {} work"
    assert "best sales pipeline" in found.keywords


def test_every_seed_has_its_turn_before_a_cap_cuts() -> None:
    found = call(suggest_keywords, seeds=["crm", "erp"], max_keywords=6).keywords
    assert found[2:] == [
        "what is a crm",
        "what is an erp",
        "how to choose a crm",
        "how to choose an erp",
    ]


def test_questions_of_pages_are_taken_with_their_address() -> None:
    faq = page("faq", title="CRM help", headings=["CRM help", "How long does CRM setup take?"])
    found = call(suggest_keywords, seeds=["crm"], pages=[faq.model_dump()])
    assert found.sources["how long does crm setup take"] == "https://shop.example/faq"


def test_questions_that_need_their_page_are_left_out() -> None:
    faq = page("faq", title="CRM", headings=["CRM", "How does it work?", "Why do we do this?"])
    found = call(suggest_keywords, seeds=["crm"], pages=[faq.model_dump()])
    assert not {"how does it work", "why do we do this"} & set(found.keywords)


def test_comparisons_of_pages_are_taken() -> None:
    post = page("a", title="CRM vs spreadsheet", headings=["CRM vs spreadsheet"], text="crm")
    found = call(suggest_keywords, seeds=["crm"], pages=[post.model_dump()])
    assert found.sources["crm vs spreadsheet"] == "https://shop.example/a"


def test_german_patterns_for_a_german_locale_and_none_for_an_unknown_one() -> None:
    assert "was ist crm" in call(suggest_keywords, seeds=["crm"], locale="de-DE").keywords
    assert call(suggest_keywords, seeds=["crm"], locale="fi-FI").keywords == ["crm"]


def test_the_cap_holds() -> None:
    assert len(call(suggest_keywords, seeds=["crm", "erp"], max_keywords=7).keywords) == 7
