"""JSON with places, read without recursion."""

import json
import re

from treadle.agents.language.document import Document, Spot
from treadle.agents.language.scalars import NotJson, real_number, whole_number
from treadle.agents.language.syntax import Builder, Holder, WrongSyntax
from treadle.agents.values import JsonValue

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"true|false|null")
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_DECODER = json.JSONDecoder()
_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonReader:
    """Reads one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._builder = Builder(text)
        self._closers: list[str] = []
        self._fresh = False

    def read(self) -> Document:
        """The document; raises `WrongSyntax`."""
        self._value()
        while self._closers:
            self._next_in_container()
        self._skip()
        if self._at < len(self._text):
            raise self._wrong("nothing may follow the object")
        return self._builder.document

    def _next_in_container(self) -> None:
        """One item with its comma, or the end; the container was opened by `_value`."""
        closer = self._closers[-1]
        is_first = self._take_fresh()
        self._skip()
        if self._peek() == closer:
            self._at += 1
            self._closers.pop()
            self._builder.end()
            return
        if not is_first:
            self._expect(",", f"expected a comma or {closer!r}")
        if closer == "}":
            self._key()
        self._value()

    def _take_fresh(self) -> bool:
        is_fresh, self._fresh = self._fresh, False
        return is_fresh

    def _key(self) -> None:
        self._skip()
        if self._peek() != '"':
            raise self._wrong("expected a key in double quotes")
        spot = self._spot()
        self._builder.key(self._string(), spot)
        self._skip()
        self._expect(":", "expected a colon after the key")

    def _value(self) -> None:
        self._skip()
        spot = self._spot()
        match self._peek():
            case "{":
                self._open({}, "}", spot)
            case "[":
                self._open([], "]", spot)
            case '"':
                self._builder.scalar(self._string(), spot)
            case _:
                self._builder.scalar(self._word_or_number(), spot)

    def _open(self, container: Holder, closer: str, spot: Spot) -> None:
        self._builder.start(container, spot)
        self._closers.append(closer)
        self._fresh = True
        self._at += 1

    def _word_or_number(self) -> JsonValue:
        word = _WORD.match(self._text, self._at)
        if word is not None:
            self._at = word.end()
            return _WORDS[word[0]]
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            raise self._wrong("expected a value")
        try:
            is_whole = number[1] is None and number[2] is None
            value = whole_number(number[0]) if is_whole else real_number(number[0])
        except NotJson as error:
            raise self._wrong(str(error), is_final=True) from None
        self._at = number.end()
        return value

    def _string(self) -> str:
        try:
            found, end = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            raise self._wrong(f"wrong JSON text: {error.msg.lower()}") from None
        value = str(found)
        if _SURROGATE.search(value) or "\0" in value:
            raise self._wrong("this text holds half a character or U+0000", is_final=True)
        self._at = end
        return value

    def _skip(self) -> None:
        blank = _BLANK.match(self._text, self._at)
        end = blank.end() if blank is not None else self._at
        newlines = self._text.count("\n", self._at, end)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", self._at, end) + 1
        self._at = end

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _expect(self, character: str, message: str) -> None:
        if self._peek() != character:
            raise self._wrong(message)
        self._at += 1

    def _spot(self) -> Spot:
        style = '"' if self._peek() == '"' else None
        return Spot(self._line, self._at - self._line_start + 1, style)

    def _wrong(self, message: str, *, is_final: bool = False) -> WrongSyntax:
        return WrongSyntax(self._spot(), message, path=self._builder.path, is_final=is_final)
