"""Text to tokens and back; a user's text never becomes a control token."""

import re
from collections.abc import Sequence
from functools import cached_property

from tokenizers import Tokenizer as Backend

# Noncharacters: they cannot occur in interchanged text, and are taken out of it if they do.
QUOTE, UNQUOTE = "\ufdd0", "\ufdd1"


class Tokenizer:
    """Encodes prompts in which a user's text can never become a control token."""

    def __init__(
        self, backend: Backend, *, end_tokens: frozenset[int], limit: int | None = None
    ) -> None:
        """`limit` is the width of the model's head: tokens beyond it can never be chosen."""
        self._backend, self.end_tokens = backend, end_tokens
        backend.no_padding()
        backend.no_truncation()
        size = max(backend.get_vocab(with_added_tokens=True).values()) + 1
        self.size = size if limit is None else min(size, limit)
        # Longest first: one may begin another.
        names = sorted(
            (token.content for token in backend.get_added_tokens_decoder().values()),
            key=len,
            reverse=True,
        )
        control = "|".join(re.escape(name) for name in names if name.strip())
        self._control = re.compile(control or r"(?!)")

    def encode(self, text: str) -> list[int]:
        """Tokens of a rendered prompt; what lies between quotes is never a control token."""
        tokens: list[int] = []
        for number, part in enumerate(text.split(QUOTE)):
            quoted, closed, plain = part.partition(UNQUOTE) if number else ("", "", part)
            if number and not closed:
                quoted, plain = part, ""
            tokens += self._encode_quoted(quoted) + self._encode(plain.replace(UNQUOTE, ""))
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The text, control tokens included."""
        return self._backend.decode(list(tokens), skip_special_tokens=False)

    def quote(self, text: str) -> str:
        """Mark the names of control tokens in somebody's text as text."""
        text = text.replace(QUOTE, "").replace(UNQUOTE, "")
        return self._control.sub(rf"{QUOTE}\g<0>{UNQUOTE}", text)

    def split_at_controls(self, text: str) -> list[tuple[str, int | None]]:
        """The parts of `text`, those that are control tokens with their ids."""
        found: list[tuple[str, int | None]] = []
        end = 0
        for match in self._control.finditer(text):
            if match.start() > end:
                found.append((text[end : match.start()], None))
            found.append((match[0], self.id_of(match[0])))
            end = match.end()
        return [*found, (text[end:], None)] if end < len(text) else found

    def id_of(self, text: str) -> int | None:
        """The token that is exactly this text."""
        return self._backend.token_to_id(text)

    def bytes_of(self, token: int) -> bytes:
        """A token's own bytes; a character may be spread over several tokens."""
        name = self._backend.id_to_token(token)
        if name is None:
            return b""
        if all(letter in self._byte_letters for letter in name):
            return bytes(self._byte_letters[letter] for letter in name)
        return name.replace("\u2581", " ").encode()

    def to_json(self) -> str:
        """The tokenizer as a tokenizer.json."""
        return self._backend.to_str()

    def _encode(self, text: str) -> list[int]:
        return self._backend.encode(text, add_special_tokens=False).ids if text else []

    def _encode_quoted(self, text: str) -> list[int]:
        """Without its first letter a control token's name is ordinary text."""
        return self._encode(text[:1]) + self._encode(text[1:])

    @cached_property
    def _byte_letters(self) -> dict[str, int]:
        return {letter: byte for byte, letter in enumerate(byte_letters())}


def byte_letters() -> list[str]:
    """The visible letter that stands for each byte in a byte-level vocabulary.

    Source: GPT-2, openai/gpt-2, src/encoder.py, `bytes_to_unicode`.
    """
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte if byte in visible else 256 + hidden.index(byte)) for byte in range(256)]
