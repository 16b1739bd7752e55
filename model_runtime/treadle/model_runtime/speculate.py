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
WINDOW = 4_096  # tokens looked back over


def look_up(tokens: Sequence[int], count: int) -> list[int]:
    """What followed the last few tokens when they stood together before; often nothing.

    The longest match counts, and of several the latest.

    Source: Saxena, Prompt Lookup Decoding, 2023.
    """
    latest_first = list(tokens[-WINDOW:])[::-1]
    longest, found = SHORTEST_MATCH - 1, 0
    place = 0
    while longest < LONGEST_MATCH:
        try:
            place = latest_first.index(latest_first[0], place + 1)
        except ValueError:
            break
        if (size := _match(latest_first, place)) > longest:
            longest, found = size, place
    return latest_first[max(found - count, 0) : found][::-1] if found else []


def _match(latest_first: Sequence[int], place: int) -> int:
    """How many tokens at `place` are those at the beginning."""
    most = min(LONGEST_MATCH, len(latest_first) - place)
    unequal = (size for size in range(most) if latest_first[size] != latest_first[place + size])
    return next(unequal, most)
