"""Guess the next tokens cheaply, and see in one pass over all of them how many were right.

With noise that depends on the position alone (see `noise`), target and draft are drawn with the
same noise, so the answer is the same as without drafts, in sampling too.
"""

from collections.abc import Sequence
from enum import StrEnum

from treadle.model_runtime.request import Choice


class Speculation(StrEnum):
    """Where drafts come from."""

    OFF = "off"
    MTP = "mtp"  # the model's own multi-token prediction
    LOOKUP = "lookup"  # what followed the same words earlier in the text


def verified(drafts: Sequence[int], choices: Sequence[Choice]) -> Sequence[Choice]:
    """The choices that hold: each one is right as long as all drafts before it were chosen.

    `choices` has one more than `drafts`: what the model takes after the last of them.
    """
    right = 0
    while right < len(drafts) and drafts[right] == choices[right].token:
        right += 1
    return choices[: right + 1]


LONGEST_MATCH = 4
SHORTEST_MATCH = 2
WINDOW = 4_096  # tokens looked back over; the search is a scan


def look_up(tokens: Sequence[int], count: int) -> list[int]:
    """The tokens that followed the latest earlier occurrence of the last few; often none.

    Source: Saxena, Prompt Lookup Decoding, 2023.
    """
    window = list(tokens[-WINDOW:])
    for size in range(LONGEST_MATCH, SHORTEST_MATCH - 1, -1):
        tail = window[-size:]
        for start in range(len(window) - size - 1, -1, -1):
            if window[start] == tail[0] and window[start : start + size] == tail:
                return window[start + size : start + size + count]
    return []
