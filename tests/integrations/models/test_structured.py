"""Values out of texts."""

import pytest

from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models import Message
from treadle.integrations.models.structured import (
    Parsed,
    Rejected,
    check_value,
    parse_value,
    repair_messages,
)

LIST = {
    "type": "object",
    "required": ["keywords"],
    "properties": {"keywords": {"type": "array", "items": {"type": "string", "minLength": 2}}},
}


@pytest.mark.parametrize(
    "text",
    [
        '{"keywords": ["crm"]}',
        '  \n{"keywords": ["crm"]}\n',
        '```json\n{"keywords": ["crm"]}\n```',
        '```\n{"keywords": ["crm"]}\n```',
        'Here it is:\n```json\n{\n  "keywords": ["crm"]\n}\n```\nEnjoy!',
    ],
)
def test_json_is_found_bare_and_in_a_fence(text: str) -> None:
    assert parse_value(text, LIST) == Parsed({"keywords": ["crm"]})


def test_any_json_value_may_be_an_answer() -> None:
    assert parse_value("null", {}) == Parsed(None)
    assert parse_value('"a"', {"type": "string"}) == Parsed("a")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the answer is not JSON"),
        ("I cannot do that.", "the answer is not JSON"),
        ('{"keywords": ["crm"', "the answer is not JSON"),
        ('{"keywords": NaN}', "NaN is not a JSON value"),
        ("[" * 100_000, "the answer is not JSON"),
        ("```json\n1\n```\n```json\n2\n```", "the answer is not JSON"),
        ("{}", "the value: 'keywords' is a required property"),
        ('{"keywords": ["crm", "x"]}', "keywords[1]: 'x' is too short"),
        ('{"keywords": "crm"}', "keywords: 'crm' is not of type 'array'"),
    ],
)
def test_problems_name_the_place(text: str, problem: str) -> None:
    found = parse_value(text, LIST)
    assert isinstance(found, Rejected)
    assert problem in found.problems[0]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$ref": "#/$defs/none"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#"},
    ],
)
def test_a_wrong_schema_is_not_the_models_fault(schema: dict[str, str]) -> None:
    with pytest.raises(ToolError) as caught:
        check_value({}, schema)
    assert (caught.value.error_class, caught.value.code) == (ErrorClass.INVALID_INPUT, "bad_schema")


def test_a_repair_shows_the_answer_and_what_is_wrong_with_it() -> None:
    asked = (Message(role="user", content="List"),)
    repaired = repair_messages(asked, "{}", ["the value: 'keywords' is a required property"])
    assert [message.role for message in repaired] == ["user", "assistant", "user"]
    assert repaired[1].content == "{}"
    assert "- the value: 'keywords' is a required property" in repaired[2].content
