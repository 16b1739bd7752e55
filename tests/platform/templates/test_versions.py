"""Versions sort in the database as semver says."""

import pytest

from treadle.agents.language.versions import WrongVersion
from treadle.platform.templates.versions import newest_in_range, next_free, precedence

RISING = [  # listed as semver.org, section 11, orders them
    "0.9.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-beta-x",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "10.0.0",
]


def test_byte_order_is_precedence() -> None:
    assert sorted(RISING, key=lambda version: precedence(version).encode()) == RISING


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, "10.0.0"), ("1.x", "1.10.0"), ("^1.0.1", "1.10.0"), ("1.0.0", "1.0.0"), ("3", None)],
)
def test_a_range_finds_its_newest(wanted: str | None, found: str | None) -> None:
    assert newest_in_range(RISING, wanted) == found


def test_without_a_release_the_newest_of_all_is_found() -> None:
    assert newest_in_range(["1.0.0-a", "1.0.0-b"], None) == "1.0.0-b"


def test_a_wrong_range_is_refused() -> None:
    with pytest.raises(WrongVersion):
        newest_in_range(RISING, "latest")


def test_the_next_free_number_skips_taken_ones() -> None:
    assert next_free("1.0.0", {"1.0.0", "1.0.1"}) == "1.0.2"
    assert next_free("1.0.0-rc.1", {"1.0.0-rc.1"}) == "1.0.0"
