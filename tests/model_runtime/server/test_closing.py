"""Objects that list their properties are closed, where that leaves an answer."""

import json

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.server.test_chat import answer

from treadle.model_runtime.server.closing import closed

MOOD: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}},
    "required": ["mood"],
}
SHUT: dict[str, JsonValue] = {**MOOD, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "narrower"),
    [
        (MOOD, SHUT),
        ({"type": "array", "items": MOOD}, {"type": "array", "items": SHUT}),
        ({"anyOf": [MOOD, {"type": "null"}]}, {"anyOf": [SHUT, {"type": "null"}]}),
        (
            {"$ref": "#/$defs/mood", "$defs": {"mood": MOOD}},
            {"$ref": "#/$defs/mood", "$defs": {"mood": SHUT}},
        ),
        (
            {"type": "object", "additionalProperties": MOOD},
            {"type": "object", "additionalProperties": SHUT},
        ),
    ],
)
def test_plain_objects_are_closed(schema: JsonValue, narrower: JsonValue) -> None:
    assert closed(schema) == narrower


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"type": "object"},
        {**MOOD, "additionalProperties": True},
        {**MOOD, "patternProperties": {"^x": True}},
        {**MOOD, "required": ["mood", "other"]},
        {**MOOD, "minProperties": 2},
        {**MOOD, "const": {"mood": "good", "other": "x"}},
        {**MOOD, "anyOf": [{"required": ["other"]}]},
        {"allOf": [MOOD, {"required": ["other"]}]},
        {"oneOf": [MOOD, {"type": "object", "properties": {"other": True}}]},
        {"type": "array", "items": MOOD, "contains": {"required": ["other"]}},
        {"not": MOOD},
        {"enum": [MOOD]},
    ],
)
def test_others_stay_as_they_are(schema: JsonValue) -> None:
    assert closed(schema) == schema


@pytest.mark.parametrize("seed", range(20))
async def test_no_key_is_invented_until_the_tokens_are_spent(
    client: httpx.AsyncClient, seed: int
) -> None:
    response_format: JsonValue = {
        "type": "json_schema",
        "json_schema": {"name": "mood", "schema": MOOD},
    }
    found = await answer(
        client, temperature=1, seed=seed, max_tokens=40, response_format=response_format
    )
    assert json.loads(str(found.texts[0])).keys() == {"mood"}
    assert found.choices[0].finish_reason == "stop"
