"""Parsers that must not care where their input is cut."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.integrations.models.sse import MAX_LINE, EndlessEvent, EventParser
from treadle.integrations.models.thinking import ThoughtSplitter, split_thought

STREAM = (
    "\ufeffdata: one\n\n: keep-alive\n\ndata:two\r\n\r\nevent: note\ndata: thr\u00fce\n"
    "data: lines\n\n"
    "id: 4\rdata: four 世界\r\rdata: no blank line"
).encode()
EVENTS = ["one", "two", "thr\u00fce\nlines", "four 世界", "no blank line"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    parser = EventParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    events = [event for start, end in pairwise(edges) for event in parser.feed(STREAM[start:end])]
    assert events + parser.finish() == EVENTS


@pytest.mark.parametrize("chunk", [b"x" * 65_536, b"data: " + b"x" * 65_536 + b"\n"])
def test_a_line_or_event_without_end_is_refused(chunk: bytes) -> None:
    with pytest.raises(EndlessEvent):
        _feed_for_ever(EventParser(), chunk)


def _feed_for_ever(parser: EventParser, chunk: bytes) -> None:
    for _ in range(MAX_LINE // 60_000):
        parser.feed(chunk)


PARTS = st.sampled_from(
    ["<think>", "</think>", "<", "</", "think>", "</thi", "a", " ", "\n", "word", "<b>"]
)


@given(st.lists(PARTS, max_size=12).map("".join), st.integers(0, 2**32))
def test_any_split_of_a_text_gives_the_same_answer(text: str, seed: int) -> None:
    splitter = ThoughtSplitter()
    shown = ""
    position = 0
    sizes = random.Random(seed)
    while position < len(text):
        size = sizes.randint(1, 5)
        shown += splitter.feed(text[position : position + size])
        position += size
    shown += splitter.rest()
    answer, reasoning = splitter.finish()
    expected, thought = split_thought(text)
    assert (answer, reasoning) == (expected, thought.strip() or None)
    assert shown.endswith(answer)
    if not (thought and not text.lstrip().startswith("<think>")):
        assert shown == answer


def test_a_lone_end_tag_is_text_beside_a_field_of_its_own() -> None:
    splitter = ThoughtSplitter()
    splitter.reason("Thinking.")
    assert splitter.feed("Use </think> to end.") == "Use </think> to end."
    assert splitter.finish() == ("Use </think> to end.", "Thinking.")
