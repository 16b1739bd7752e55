"""Text comes out as soon as it is certain, and never beyond a stop string."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.model_runtime.transcript import Transcript


class Bytes:
    """Every token is one byte, so that a character can take several."""

    size = 256
    end_tokens: frozenset[int] = frozenset()

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", errors="replace")


def pieces(text: str, *stop: str) -> list[str]:
    transcript = Transcript(Bytes(), stop=stop)
    found: list[str] = []
    for token in text.encode():
        found.append(transcript.push(token))
        if transcript.stopped:
            return found
    return [*found, transcript.rest()]


def test_a_character_waits_for_its_last_byte() -> None:
    assert pieces("aé€") == ["a", "", "é", "", "", "€", ""]


def test_the_beginning_of_a_stop_string_is_held_back() -> None:
    assert pieces("ab</s>", "</s>") == ["a", "b", "", "", "", ""]
    assert pieces("ab</x", "</s>") == ["a", "b", "", "", "</x", ""]
    assert pieces("ab</", "</s>")[-1] == "</"


def test_the_first_of_several_stop_strings_cuts() -> None:
    assert "".join(pieces("one two three", "three", "two")) == "one "


def test_the_stop_string_that_is_whole_first_cuts_even_inside_a_longer_one() -> None:
    assert "".join(pieces("0L0", "L", "0L0")) == "0"


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=4), max_size=3))
def test_the_pieces_are_the_text_up_to_the_first_stop_string(text: str, stop: list[str]) -> None:
    """The first one to be whole; of those whole with the same character the one begun first."""
    whole = [place + len(item) for item in stop if (place := text.find(item)) >= 0]
    seen = text[: min(whole)] if whole else text
    begun = [place for item in stop if (place := seen.find(item)) >= 0]
    assert "".join(pieces(text, *stop)) == (seen[: min(begun)] if begun else seen)


def test_bytes_that_are_no_character_do_not_hold_the_text_up() -> None:
    transcript = Transcript(Bytes())
    found = "".join(transcript.push(token) for token in b"\xff" * 20 + b"abc")
    assert found.endswith("abc")


@pytest.mark.parametrize("text", ["", "a"])
def test_nothing_comes_after_the_rest(text: str) -> None:
    transcript = Transcript(Bytes(), stop=("ab",))
    for token in text.encode():
        transcript.push(token)
    assert transcript.rest() == text
    assert transcript.rest() == ""
