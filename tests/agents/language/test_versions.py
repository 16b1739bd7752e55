"""Semantic versions and npm's ranges."""

import pytest

from treadle.agents.language.versions import WrongVersion, parse_range, parse_version


def test_versions_have_an_order() -> None:
    texts = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11",
             "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0"]  # fmt: skip
    mixed = texts[5:] + texts[:5]
    assert sorted(mixed, key=parse_version) == texts


@pytest.mark.parametrize(
    "text", ["1", "1.2", "v1.2.3", "01.2.3", "1.2.3-01", "1.2.x", "", "1.2.3 "]
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(WrongVersion):
        parse_version(text)


@pytest.mark.parametrize(
    ("source", "inside", "outside"),
    [
        ("1.2.3", ["1.2.3"], ["1.2.4", "1.2.2"]),
        ("^1.2", ["1.2.0", "1.9.9"], ["1.1.9", "2.0.0", "2.0.0-rc.1"]),
        ("^1.2.3", ["1.2.3", "1.3.0"], ["1.2.2", "2.0.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0"]),
        ("1.x", ["1.0.0", "1.9.0"], ["2.0.0", "0.9.0"]),
        ("1", ["1.0.0", "1.9.0"], ["2.0.0"]),
        ("1.2.*", ["1.2.0"], ["1.3.0"]),
        ("*", ["0.0.1", "9.9.9"], ["1.0.0-rc.1"]),
        ("", ["1.0.0"], ["1.0.0-rc.1"]),
        (">=1.2 <3", ["1.2.0", "2.9.9"], ["3.0.0", "1.1.0"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        ("<=1.2", ["1.2.9"], ["1.3.0"]),
        ("1.x || 3.x", ["1.5.0", "3.0.0"], ["2.0.0"]),
        (">=1.0.0-rc.1", ["1.0.0-rc.2", "1.0.0"], ["1.0.0-beta", "1.1.0-rc.1"]),
    ],
)
def test_ranges(source: str, inside: list[str], outside: list[str]) -> None:
    wanted = parse_range(source)
    assert [text for text in inside if not wanted.holds(parse_version(text))] == []
    assert [text for text in outside if wanted.holds(parse_version(text))] == []


def test_the_newest_of_a_range() -> None:
    versions = [parse_version(text) for text in ("1.0.0", "1.4.0", "1.10.0", "2.0.0")]
    assert str(parse_range("1.x").newest(versions)) == "1.10.0"
    assert parse_range("3.x").newest(versions) is None


@pytest.mark.parametrize("source", ["latest", "^", "1.2.3.4", "1 - 2 -", "x.y", "^1.2.3 beta"])
def test_what_is_no_range(source: str) -> None:
    with pytest.raises(WrongVersion):
        parse_range(source)
