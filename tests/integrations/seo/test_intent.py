"""Intents and the votes behind them."""

import pytest
from tests.integrations.seo.sample import call, page

from treadle.integrations.seo.intent import Intent, classify_intents, intent_of
from treadle.integrations.seo.serps import Hit


@pytest.mark.parametrize(
    ("keyword", "intent"),
    [
        ("how to dial in espresso", Intent.INFORMATIONAL),
        ("booking questions", Intent.INFORMATIONAL),
        ("open deals", Intent.INFORMATIONAL),
        ("hotel deals", Intent.TRANSACTIONAL),
        ("espresso machine", Intent.COMMERCIAL),
        ("what is a crm", Intent.INFORMATIONAL),
        ("crm data migration checklist", Intent.INFORMATIONAL),
        ("deploy flowise on aws", Intent.INFORMATIONAL),
        ("best espresso machine", Intent.COMMERCIAL),
        ("dify vs flowise", Intent.COMMERCIAL),
        ("hubspot alternatives", Intent.COMMERCIAL),
        ("crm software for small business", Intent.COMMERCIAL),
        ("buy espresso machine", Intent.TRANSACTIONAL),
        ("crm pricing", Intent.TRANSACTIONAL),
        ("book hut to hut trek", Intent.TRANSACTIONAL),
        ("free crm", Intent.TRANSACTIONAL),
    ],
)
def test_wording_decides(keyword: str, intent: Intent) -> None:
    assert intent_of(keyword).intent is intent


@pytest.mark.parametrize("keyword", ["access control", "load balancer", "content review workflow"])
def test_nouns_that_are_verbs_too_are_no_how_to(keyword: str) -> None:
    assert intent_of(keyword).evidence == ["no vote: taken as a question for knowledge"]


def test_a_brand_alone_is_navigational() -> None:
    assert intent_of("flowise", brands=["flowise"]).intent is Intent.NAVIGATIONAL
    assert intent_of("flowise alternatives", brands=["flowise"]).intent is Intent.COMMERCIAL


def test_a_product_page_votes_for_a_purchase() -> None:
    product = page("x", title="Lario 58", headings=["Lario 58"], json_ld={"@type": "Product"})
    (found,) = call(classify_intents, keywords=["lario 58"], pages=[product.model_dump()]).keywords
    assert found.intent is Intent.TRANSACTIONAL
    assert found.evidence == ["transactional +2 1 page of type product"]


def test_search_results_outvote_a_page() -> None:
    hits = [Hit(url=f"https://a{n}.example/blog/x", title="Espresso guide") for n in range(10)]
    assert intent_of("lario 58", hits=hits).intent is Intent.INFORMATIONAL


def test_confidence_grows_with_agreement() -> None:
    assert intent_of("knowledge base").confidence < intent_of("what is a knowledge base").confidence


def test_funnel_stage_follows_the_intent() -> None:
    assert intent_of("buy kettle").funnel_stage == "decision"
    assert intent_of("best kettle").funnel_stage == "consideration"
