"""From tokens to text while they come: characters across tokens, and stop strings."""

from collections.abc import Sequence
from typing import Protocol

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
# Bytes that never become a character are given up after this many tokens.
LONGEST_CHARACTER = 6


class Detokenizer(Protocol):
    """The tokenizer's way back."""

    @property
    def size(self) -> int:
        """Tokens that exist; a model's head may be wider."""
        ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of these tokens, special ones included."""
        ...


class Transcript:
    """The text of one answer; holds back what a stop string could still begin with."""

    def __init__(self, decoder: Detokenizer, *, stop: Sequence[str] = ()) -> None:
        self._decoder, self._stop = decoder, tuple(stop)
        self._tokens: list[int] = []
        # Tokens before `_settled` are in `_text`; decoding starts some tokens earlier, at
        # `_context`, for a token's text can depend on the one before it.
        self._context = self._settled = 0
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Take one token; the text that is certain now."""
        self._tokens.append(token)
        before = self._decoder.decode(self._tokens[self._context : self._settled])
        text = self._decoder.decode(self._tokens[self._context :])
        waiting = len(self._tokens) - self._settled
        if text.endswith(UNFINISHED) and waiting < LONGEST_CHARACTER:
            return ""
        self._context, self._settled = self._settled, len(self._tokens)
        return self._release(self._held + text[len(before) :])

    def rest(self) -> str:
        """What is held back when the answer ends otherwise than by a stop string."""
        if self.stopped:
            return ""
        before = self._decoder.decode(self._tokens[self._context : self._settled])
        tail = self._decoder.decode(self._tokens[self._context :])[len(before) :]
        held, self._held = self._held, ""
        self._settled = len(self._tokens)
        return held + tail

    def _release(self, text: str) -> str:
        """Cut at the first stop string, or hold back the longest beginning of one."""
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        held = max((overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop`, but is not all of it."""
    place = text.find(stop[0], max(len(text) - len(stop) + 1, 0))
    while place >= 0 and not stop.startswith(text[place:]):
        place = text.find(stop[0], place + 1)
    return len(text) - place if place >= 0 else 0
