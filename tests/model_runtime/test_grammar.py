"""Answers match their grammar, and no grammar can stop the batch."""

import json
from time import perf_counter

import pytest
from pydantic import JsonValue
from tests.model_runtime.vocabulary import tokenizer

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.grammar import Grammar, GrammarCompiler, GrammarTooCostly, check_schema

TOKENIZER = tokenizer()
COMPILER = GrammarCompiler(
    TOKENIZER.to_json(), vocabulary=TOKENIZER.size, end_tokens=sorted(TOKENIZER.end_tokens)
)
PERSON: JsonValue = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def accepts(grammar: Grammar, text: str) -> bool:
    """Whether every token is allowed, and the end may follow."""
    matcher = grammar.matcher()
    for token in TOKENIZER.encode(text):
        if not matcher.allowed()[token] or not matcher.advance(token):
            return False
    end = min(TOKENIZER.end_tokens)
    return matcher.finished or bool(matcher.allowed()[end])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"name": "Ada", "age": 36}', True),
        ('{"name": "Ada"}', False),
        ('{"name": "Ada Lovelace", "age": 36}', False),
        ("Ada", False),
    ],
)
def test_a_schema_is_followed(text: str, *, fits: bool) -> None:
    assert accepts(COMPILER.json_schema(PERSON), text) is fits


def test_choices_and_patterns_are_followed() -> None:
    choices = COMPILER.choices(["yes", 'no "maybe"'])
    assert accepts(choices, 'no "maybe"')
    assert not accepts(choices, "perhaps")
    pattern = COMPILER.regex(r"[0-9]{2}:[0-9]{2}")
    assert accepts(pattern, "12:30")
    assert not accepts(pattern, "1230")


def test_steps_can_be_taken_back() -> None:
    matcher = COMPILER.choices(["ab", "cd"]).matcher()
    before = matcher.allowed()
    a, b = TOKENIZER.encode("ab")
    assert matcher.advance(a)
    assert matcher.advance(b)
    matcher.go_back(2)
    assert matcher.allowed().equal(before)
    assert not matcher.advance(b)
    assert matcher.advance(a)


def test_answers_do_not_share_their_place() -> None:
    grammar = COMPILER.choices(["ab"])
    first, second = grammar.matcher(), grammar.matcher()
    (a,) = TOKENIZER.encode("a")
    assert first.advance(a)
    assert second.advance(a)


def nested(depth: int) -> JsonValue:
    schema: JsonValue = {"type": "string"}
    for _ in range(depth):
        schema = {"oneOf": [schema]}
    return schema


@pytest.mark.parametrize(
    ("schema", "limit"),
    [
        (nested(60), "nested"),
        ({"enum": [*range(1_001)]}, "enum"),
        ({"type": "string", "pattern": "a" * 2_000}, "pattern"),
        ({"description": "x" * 70_000}, "bytes"),
        ({"anyOf": [{"type": "string"} for _ in range(2_100)]}, "parts"),
        ({"$ref": "https://example.com/schema"}, "leads out"),
    ],
)
def test_hostile_schemas_are_refused_before_they_are_compiled(
    schema: JsonValue, limit: str
) -> None:
    with pytest.raises(BadRequest, match=limit):
        check_schema(schema)


@pytest.mark.parametrize(
    "schema", [{"type": "strin"}, {"type": "string", "pattern": "(("}, {"$ref": "#/$defs/none"}]
)
def test_a_schema_that_means_nothing_is_refused(schema: JsonValue) -> None:
    with pytest.raises(BadRequest, match="cannot be followed"):
        COMPILER.json_schema(schema)


@pytest.mark.parametrize(
    "pattern", ["(a{1,900}){1,900}" * 20, "(a|b|ab)*c" * 50, "((((a*)*)*)*)*b", "(.*a){25}b"]
)
def test_a_nasty_pattern_is_refused_or_stays_cheap(pattern: str) -> None:
    begun = perf_counter()
    try:
        matcher = COMPILER.regex(pattern).matcher()
        for token in TOKENIZER.encode("a" * 50):
            matcher.allowed()
            matcher.advance(token)
    except (BadRequest, GrammarTooCostly):
        pass
    # Fifty masks at their limit take one second; the rest is a busy machine's.
    assert perf_counter() - begun < 5


def test_an_unbounded_object_is_json() -> None:
    assert accepts(COMPILER.json_object(), json.dumps({"a": [1, {"b": None}]}))
