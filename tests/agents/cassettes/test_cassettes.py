"""A recorded run, redacted and replayed: what is kept, what goes, what a new version changes."""

from collections.abc import Sequence

import pytest

from treadle.agents.cassettes import (
    Cassette,
    CassetteInvalid,
    Recorded,
    recorded_steps,
    redacted,
)
from treadle.agents.cassettes.comparison import Replay
from treadle.agents.cassettes.replaying import replay
from treadle.agents.language import Template, parse_template
from treadle.agents.values import JsonValue
from treadle.integrations.registry import all_tools

TEXT = """\
treadle: 1
name: briefs
version: 1.0.0
inputs:
  words: {type: array, items: {type: string}}
  to: {type: string, format: email}
  pin: {type: string, format: password, optional: true}
nodes:
  found:
    use: map
    over: ${{ inputs.words }}
    as: word
    nodes:
      hits: {use: web.search, with: {query: "${{ word }}"}}
      best: {use: set, with: {title: "${{ hits.results[0].title }}"}}
    output: ${{ best.title }}
  ask:
    use: llm
    with: {prompt: "Sum up ${{ found | join(', ') }}"}
    on_error: {value: "nothing (${{ error.class }})"}
  mail:
    use: notify.email
    with: {to: "${{ inputs.to }}", subject: Brief, text: "${{ ask }}"}
outputs: {brief: "${{ ask }}"}
"""


def checked(text: str) -> Template:
    return parse_template(text, tools=all_tools()).template


def hits(title: str) -> JsonValue:
    return {"results": [{"title": title, "url": "https://a.example/?token=abcdefgh", "rank": 1}]}


def cassette(*extra: Recorded, words: Sequence[str] = ("crm", "erp")) -> Cassette:
    steps = [
        Recorded(path="found[0].hits", status="succeeded", output=hits("CRM")),
        Recorded(path="found[1].hits", status="succeeded", output=hits("ERP")),
        Recorded(path="ask", status="succeeded", output="Write to ada@lovelace.example."),
        Recorded(path="mail", status="succeeded", output={"message_id": "1"}),
    ]
    given = {step.path: step for step in [*steps, *extra]}
    return Cassette(
        run="r1",
        template="briefs",
        version="1.0.0",
        text=TEXT,
        inputs={"words": [*words], "to": "Ada@lovelace.example", "pin": "4711-hush"},
        status="succeeded",
        outputs={"brief": "Write to ada@lovelace.example."},
        steps=list(given.values()),
    )


async def played(text: str, tape: Cassette | None = None) -> Replay:
    return await replay(tape or cassette(), checked(text), all_tools())


def told(made: Replay) -> list[tuple[str, str]]:
    return [(one.path, one.what) for one in made.differences]


async def test_the_same_version_does_the_same() -> None:
    made = await played(TEXT)
    assert made.is_same
    assert "found[1].best" in made.paths
    assert made.report().is_passed


async def test_a_changed_prompt_is_told_and_what_follows_from_it() -> None:
    made = await played(TEXT.replace("Sum up", "Sum up briefly").replace("1.0.0", "1.0.1"))
    assert told(made) == [("ask", "asked")]
    assert (made.before, made.after) == ("1.0.0", "1.0.1")
    lines = made.differences[0].lines()
    assert lines[:2] == ["--- recorded", "+++ now"]
    assert '-  "with.prompt": "Sum up CRM, ERP"' in lines
    assert '+  "with.prompt": "Sum up briefly CRM, ERP"' in lines


async def test_what_is_worked_out_here_is_worked_out_again() -> None:
    made = await played(TEXT.replace("results[0].title }}", "results[0].title | lower }}"))
    assert set(told(made)) == {
        ("found[0].best", "output"),
        ("found[1].best", "output"),
        ("found", "output"),
        ("ask", "asked"),
    }


async def test_an_answer_is_found_by_its_question_when_items_move() -> None:
    text = TEXT.replace(
        "over: ${{ inputs.words }}", "over: ${{ [inputs.words[1], inputs.words[0]] }}"
    )
    made = await played(text)
    outputs = {one.path: one.after for one in made.differences if one.what == "output"}
    assert outputs["found"] == ["ERP", "CRM"]
    assert "not recorded" not in {one.what for one in made.differences}


async def test_nodes_that_come_and_go_are_told_and_nothing_is_made_up() -> None:
    text = TEXT.replace("  mail:\n    use: notify.email", "  tell:\n    use: notify.email")
    assert told(await played(text)) == [
        ("mail", "removed"),
        ("tell", "not recorded"),
        ("run", "run"),
    ]


async def test_a_recorded_failure_fails_again() -> None:
    error: dict[str, JsonValue] = {
        "node": "ask", "path": "ask", "class": "rate_limit", "code": "busy", "message": "busy",
    }  # fmt: skip
    tape = cassette(Recorded(path="ask", status="recovered", error=error, output="nothing"))
    assert (await played(TEXT, tape)).is_same
    made = await played(TEXT.replace("nothing (", "not a word ("), tape)
    assert ("outputs.brief", "output") in told(made)
    after = [one.after for one in made.differences if one.path == "outputs.brief"]
    assert after
    assert all(value == "not a word (rate_limit)" for value in after)


async def test_inputs_that_no_longer_fit_are_refused() -> None:
    text = TEXT.replace("inputs:\n", "inputs:\n  tone: {type: string}\n", 1)
    with pytest.raises(CassetteInvalid, match=r"the recorded inputs do not fit.*missing input"):
        await played(text)


def test_only_what_reached_outside_is_recorded() -> None:
    steps = [
        Recorded(path="found", status="succeeded", output=["CRM"]),
        Recorded(path="found[0].hits", status="succeeded", output=hits("CRM")),
        Recorded(path="found[0].best", status="succeeded", output={"title": "CRM"}),
        Recorded(path="mail", status="cancelled"),
    ]
    kept = recorded_steps(checked(TEXT), all_tools(), steps)
    assert [step.path for step in kept] == ["found[0].hits"]


async def test_secrets_and_people_are_taken_out_and_comparisons_still_hold() -> None:
    more: JsonValue = {
        "headers": {"authorization": "x", "Set-Cookie": "y"},
        "api_key": "z",
        "text": "Bearer abcdef123456, call +49 170 1234567, pin 4711-hush, sk-abcdefghijklmnop",
        "url": "https://u:pw@a.example/?access_token=1234&q=crm",
    }
    tape = cassette(Recorded(path="mail", status="succeeded", output=more))
    made = redacted(tape, checked(TEXT))
    shown = made.model_dump_json(exclude={"text"})
    for gone in (
        "lovelace", "4711", "abcdef", "1234567", "u:pw", '"x"', '"y"', '"z"', "=1234", "abcdefgh",
    ):  # fmt: skip
        assert gone not in shown, gone
    assert "q=crm" in shown
    assert made.inputs["to"] == "person-1@redacted.example"
    assert made.steps[2].output == "Write to person-1@redacted.example."
    assert made.redactions["addresses"] == 4
    assert (await played(TEXT, made)).is_same


def test_a_file_that_is_no_cassette_is_refused_in_words() -> None:
    with pytest.raises(CassetteInvalid, match="no cassette"):
        Cassette.read(b'{"cassette": 2}')
    with pytest.raises(CassetteInvalid, match="no cassette"):
        Cassette.read(b"\xff not json")
    assert Cassette.read(cassette().model_dump_json().encode()) == cassette()
