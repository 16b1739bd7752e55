"""Reading text: YAML 1.2 core values with places, and a clear refusal of all that is hostile."""

import json
import time

import pytest

from treadle.agents.errors import TemplateInvalid
from treadle.agents.language.document import Spot
from treadle.agents.language.loading import MAX_BYTES, load
from treadle.agents.values import JsonValue


def refusal(source: str | bytes) -> str:
    started = time.process_time()
    with pytest.raises(TemplateInvalid) as caught:
        load(source)
    assert time.process_time() - started < 0.5
    (issue,) = caught.value.issues
    return f"{issue.line}:{issue.column} {issue.message}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("no", "no"), ("yes", "yes"), ("010", 10), ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"),
        ("~", None), ("", None), ("NULL", None), ("True", True), ("1e3", 1000.0), ("-.5", -0.5),
        ("=", "="), ("<<", "<<"), ("+12", 12), ("1.", 1.0), ("'1'", "1"), ('"true"', "true"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2_core(text: str, value: JsonValue) -> None:
    assert load(f"a: {text}\n").content == {"a": value}


def test_json_is_read_where_yaml_has_gaps() -> None:
    text = '{"a":1,\t"b": "\\ud83d\\ude00\\/", "c": [true, null, -1.5e3]}'
    assert load(text).content == {"a": 1, "b": "😀/", "c": [True, None, -1500.0]}


def test_both_readers_know_the_place_of_every_value() -> None:
    for text in ("{\n  a: [1,\n   two]\n}", '{\n  "a": [1,\n   "two"]\n}'):
        document = load(text)
        spot = document.spot(("a", 1))
        assert (spot.line, spot.column) == (3, 4)
        assert document.key_spot(("a",)).line == 2


def test_a_place_inside_a_block_text_is_exact() -> None:
    document = load("a:\n  b: |\n    one\n    two three\n")
    assert document.spot_inside(("a", "b"), len("one\ntwo ")) == Spot(4, 9)


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("a: &x 1", "1:4 anchors such as &x are not allowed"),
        ("a: 1\nb: *a", "2:4 aliases such as *a are not allowed"),
        ("a: !!python/object:os.system x",
         "1:4 tags such as tag:yaml.org,2002:python/object:os.system are not allowed"),
        ("a: 1\n---\nb: 2", "2:1 a template is one document; a second one starts here"),
        ("%YAML 1.1\n---\na: 1", "1:1 YAML directives are not allowed"),
        ("a: 1\na: 2", "2:1 the key 'a' stands here twice; the first is at line 1, column 1"),
        ('{"a": 1, "a": 2}',
         "1:10 the key 'a' stands here twice; the first is at line 1, column 2"),
        ("1: x", "1:1 a key must be a text, found 1"),
        ("a: .inf", "1:4 .inf is no number that JSON can hold; quote it if it is a text"),
        ("a: 1e400", "1:4 this number is too large; quote it if it is a text"),
        ("a: " + "9" * 100_000,
         "1:4 this whole number is beyond 64 bits; quote it if it is a text"),
        ("a: b\x00", "1:5 the character U+0000 may not stand in a template"),
        ('a: "\\0"', "1:4 the character U+0000 may not stand in a template"),
        ("a: \ud800", "1:4 the character U+D800 may not stand in a template"),
        (b"a: 1\nb: \xff", "2:4 the text is not UTF-8: byte 0xff"),
        ("", "1:1 the text is empty; a template starts with `treadle: 1`"),
        ("[" * 100_000, "1:1001 the template is nested deeper than 24 levels"),
        ("{a: " * 60_000, "1:97 the template is nested deeper than 24 levels"),
        ('{"a":' * 50_000, "1:121 the template is nested deeper than 24 levels"),
        ("- " * 100_000, "1:49 the template is nested deeper than 24 levels"),
        ("a: [" + "1," * 30_000 + "]", "1:40001 the template has more than 20000 values"),
        ("x" * (MAX_BYTES + 1),
         "1:1 a template has at most 256 KiB, this text has 262145 bytes"),
    ],
)  # fmt: skip
def test_what_is_hostile_is_refused_at_once(source: str | bytes, answer: str) -> None:
    assert refusal(source) == answer


def test_the_billion_laughs_stay_unheard() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert refusal(bomb) == "1:4 anchors such as &a are not allowed"


def test_a_tab_that_indents_is_named() -> None:
    with pytest.raises(TemplateInvalid) as caught:
        load("a:\n\tb: 1\n")
    assert caught.value.issues[0].hint == "Indent with spaces, not with tabs."
    assert caught.value.issues[0].line == 2


def test_a_bracket_that_is_never_closed_is_named() -> None:
    with pytest.raises(TemplateInvalid) as caught:
        load("a: [\n  use: set\nb: 1\n")
    hint = "Close the [ or { that was opened before this place, or quote it."
    assert caught.value.issues[0].hint == hint


def test_the_largest_allowed_template_loads_quickly() -> None:
    text = json.dumps({f"k{number}": "x" * 100 for number in range(2_000)})
    started = time.process_time()
    assert len(str(load(text).content)) > 200_000
    assert time.process_time() - started < 0.5
