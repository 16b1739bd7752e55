"""Which keywords are one, and which are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integrations.seo.sample import call

from treadle.integrations.seo.normalize import clean, normalize_keywords


def normal(*keywords: str) -> list[str]:
    return call(normalize_keywords, keywords=keywords).keywords


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("crm software", "CRM  Software"),
        ("espresso machine", "espresso machines"),
        ("crm pricing", "pricing crm"),
        ("self-hosted crm", "self hosted crm"),
        ("ﬁlter coffee", "filter coffee"),
        ("what is crm", "What is CRM?"),
        ("recommendation engine", "recomendation engine"),
    ],
)
def test_spellings_of_one_keyword_merge_into_the_first(first: str, second: str) -> None:
    assert normal(first, second) == [clean(first)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("dify vs flowise", "flowise vs dify alternatives"),
        ("vienna to graz", "graz to vienna"),
        ("c", "c++"),
        ("gpt 4", "gpt 5"),
        ("form builder", "from builder"),
        ("react native", "react router"),
        ("contact form", "contract form"),
    ],
)
def test_different_keywords_stay_apart(first: str, second: str) -> None:
    assert normal(first, second) == [first, second]


def test_the_first_order_stays_and_merges_are_named() -> None:
    result = call(normalize_keywords, keywords=["zebra", "apple pie", "Apple pies", "mango"])
    assert result.keywords == ["zebra", "apple pie", "mango"]
    assert result.merged == {"apple pies": "apple pie"}


def test_what_has_no_letter_or_digit_is_dropped() -> None:
    assert normal("???", "  ", "—") == []


def test_the_cap_keeps_the_first() -> None:
    assert call(normalize_keywords, keywords=["a b", "c d", "e f"], max_keywords=2).keywords == [
        "a b",
        "c d",
    ]


@given(st.lists(st.text(max_size=30), max_size=20))
def test_normalising_twice_changes_nothing(keywords: list[str]) -> None:
    once = normal(*keywords)
    assert normal(*once) == once
