"""Reasoning, content and calls come out the same however the text was cut."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.model_runtime.parse import (
    DEEPSEEK_V3,
    DEEPSEEK_V31,
    HERMES,
    KIMI_K2,
    AnswerParser,
    CallArguments,
    CallBegins,
    CallEnds,
    CallFormat,
    Content,
    Event,
    Reasoning,
    format_of,
)

FIRST, SECOND = '{"city": "Köln"}', '{"n": 1, "s": "```json\\n{}"}'


@dataclass
class Parsed:
    reasoning: str = ""
    content: str = ""
    calls: list[tuple[str, str, str | None]] = field(
        default_factory=list[tuple[str, str, str | None]]
    )
    complete: int = 0


def collected(events: Iterable[Event]) -> Parsed:
    found = Parsed()
    for event in events:
        match event:
            case Reasoning():
                found.reasoning += event.text
            case Content():
                found.content += event.text
            case CallBegins():
                assert event.index == len(found.calls)
                found.calls.append((event.name, "", event.id))
            case CallArguments():
                name, arguments, number = found.calls[event.index]
                found.calls[event.index] = (name, arguments + event.text, number)
            case CallEnds():
                found.complete += 1
    return found


def parsed(
    pieces: Sequence[str], calls: CallFormat | None = None, *, thinking: bool = False
) -> Parsed:
    parser = AnswerParser(calls, thinking=thinking)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return collected([*events, *parser.finish()])


def deepseek_v3(*calls: tuple[str, str]) -> str:
    body = "\n".join(
        f"{DEEPSEEK_V3.begins}{DEEPSEEK_V3.prefix}{name}\n```json\n{arguments}\n```"
        f"{DEEPSEEK_V31.ends[0]}"
        for name, arguments in calls
    )
    return f"{DEEPSEEK_V3.opens}{body}{DEEPSEEK_V3.closes}"


def deepseek_v31(*calls: tuple[str, str]) -> str:
    body = "".join(
        f"{DEEPSEEK_V31.begins}{name}{DEEPSEEK_V31.separators[0]}{arguments}{DEEPSEEK_V31.ends[0]}"
        for name, arguments in calls
    )
    return f"{DEEPSEEK_V31.opens}{body}{DEEPSEEK_V31.closes}"


def kimi(*calls: tuple[str, str]) -> str:
    body = "".join(
        f"{KIMI_K2.begins}functions.{name}:{index}{KIMI_K2.separators[0]}{arguments}{KIMI_K2.ends[0]}"
        for index, (name, arguments) in enumerate(calls)
    )
    return f"{KIMI_K2.opens}{body}{KIMI_K2.closes}"


def hermes(*calls: tuple[str, str]) -> str:
    return "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
        for name, arguments in calls
    )


WRITTEN = {
    "deepseek_v3": (DEEPSEEK_V3, deepseek_v3),
    "deepseek_v31": (DEEPSEEK_V31, deepseek_v31),
    "kimi_k2": (KIMI_K2, kimi),
    "hermes": (HERMES, hermes),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITTEN)
@given(data=st.data())
def test_any_cut_gives_the_same_calls(name: str, data: st.DataObject) -> None:
    calls, write = WRITTEN[name]
    text = "<think>\nlet me see</think>\n\nI look." + write(("weather", FIRST), ("count", SECOND))
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    found = parsed(pieces, calls)
    assert found.reasoning.strip() == "let me see"
    assert found.content.strip() == "I look."
    assert [(call[0], call[1]) for call in found.calls] == [("weather", FIRST), ("count", SECOND)]
    assert found.complete == 2
    assert all(json.loads(call[1]) for call in found.calls)


@pytest.mark.parametrize("name", WRITTEN)
def test_letter_by_letter_is_as_good_as_whole(name: str) -> None:
    calls, write = WRITTEN[name]
    text = "Hi." + write(("weather", FIRST))
    assert parsed(list(text), calls) == parsed([text], calls)


def test_the_prompt_may_have_opened_the_reasoning() -> None:
    found = parsed(["it is 4", "</th", "ink>\n\nFour."], thinking=True)
    assert found == Parsed(reasoning="it is 4", content="Four.")


def test_a_reasoning_without_end_is_all_reasoning() -> None:
    assert parsed(["I wonder </thin"], thinking=True) == Parsed(reasoning="I wonder </thin")


def test_an_answer_without_reasoning_keeps_its_first_letters() -> None:
    assert parsed(["<", "b>x"]) == Parsed(content="<b>x")
    assert parsed(["  <th"]) == Parsed(content="  <th")


def test_arguments_come_while_they_are_written() -> None:
    parser = AnswerParser(DEEPSEEK_V31)
    parser.feed(deepseek_v31(("f", "")).split(DEEPSEEK_V31.ends[0])[0])
    assert parser.feed('{"text": "long') == [CallArguments(0, '{"text": "long')]


def test_a_bare_begin_without_the_section_is_a_call() -> None:
    text = deepseek_v31(("f", "{}")).removeprefix(DEEPSEEK_V31.opens)
    assert parsed([text], DEEPSEEK_V31).calls == [("f", "{}", None)]


def test_a_call_that_is_cut_off_is_not_complete() -> None:
    text = deepseek_v31(("f", '{"a": 1')).split(DEEPSEEK_V31.ends[0])[0]
    found = parsed([text], DEEPSEEK_V31)
    assert found.calls == [("f", '{"a": 1', None)]
    assert found.complete == 0


def test_kimis_ids_are_kept() -> None:
    found = parsed([kimi(("weather", FIRST), ("weather", FIRST))], KIMI_K2)
    assert [call[2] for call in found.calls] == ["functions.weather:0", "functions.weather:1"]


def test_a_control_tokens_call_ends_an_open_reasoning() -> None:
    found = parsed(["hm" + deepseek_v31(("f", "{}"))], DEEPSEEK_V31, thinking=True)
    assert (found.reasoning, found.complete) == ("hm", 1)


def test_a_mention_of_another_format_is_content() -> None:
    text = "Write <tool_call> like so."
    assert parsed([text], DEEPSEEK_V31) == Parsed(content=text)
    assert parsed([text]) == Parsed(content=text)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (DEEPSEEK_V3.begins + "```json", "deepseek_v3"),
        (DEEPSEEK_V3.begins, "deepseek_v31"),
        (KIMI_K2.opens, "kimi_k2"),
        ("<tool_call>", "hermes"),
    ],
)
def test_the_template_tells_the_format(template: str, name: str) -> None:
    found = format_of(template)
    assert found is not None
    assert found.name == name
    assert format_of("nothing") is None
