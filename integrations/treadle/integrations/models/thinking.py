"""Keeping a model's reasoning apart from its answer, whatever way it comes.

Some servers send it in a field of its own, some inside `<think>…</think>`; some chat templates
already opened the tag, so that only `</think>` arrives; an answer that was cut has no end tag.
"""

OPEN, CLOSE = "<think>", "</think>"


class ThoughtSplitter:
    """Takes an answer in pieces, gives back the pieces that are answer; holds back half a tag.

    Any split of a text into pieces leads to the same answer and the same reasoning.
    """

    def __init__(self) -> None:
        self._text = ""
        self._own_field = ""
        self._shown = 0

    def reason(self, piece: str) -> None:
        """Take a piece of reasoning that came in a field of its own."""
        self._own_field += piece

    def feed(self, piece: str) -> str:
        """Take a piece of content; returns what can surely be shown of the answer now."""
        self._text += piece
        start, end = self._settled()
        shown = self._text[max(start, self._shown) : end]
        self._shown = max(self._shown, end)
        return shown

    def finish(self) -> tuple[str, str | None]:
        """The whole answer and the whole reasoning."""
        answer, thought = split_thought(self._text, is_separate=bool(self._own_field))
        reasoning = (self._own_field + thought).strip()
        return answer, reasoning or None

    def rest(self) -> str:
        """What `feed` held back of the answer; call it once, after the last piece."""
        answer, _ = self.finish()
        start = len(self._text) - len(answer)
        return self._text[max(start, self._shown) :]

    def _settled(self) -> tuple[int, int]:
        """Where the answer begins and ends as far as is known: positions in the text."""
        head = len(self._text) - len(self._text.lstrip())
        body = self._text[head:]
        if len(body) < len(OPEN) and OPEN.startswith(body):
            return 0, 0  # perhaps the beginning of <think>
        if body.startswith(OPEN):
            close = self._text.find(CLOSE)
            if close < 0:
                return len(self._text), len(self._text)
            start = _skip_blank(self._text, close + len(CLOSE))
            return start, len(self._text)
        if not self._own_field:
            close = self._text.find(CLOSE)
            if close >= 0:
                return _skip_blank(self._text, close + len(CLOSE)), len(self._text)
            return 0, len(self._text) - _held_back(self._text)
        return 0, len(self._text)


def split_thought(text: str, *, is_separate: bool = False) -> tuple[str, str]:
    """Answer and reasoning of a whole text.

    Args:
        text: What came as content.
        is_separate: Reasoning came in a field of its own: a lone `</think>` is text then.
    """
    body = text.lstrip()
    if body.startswith(OPEN):
        thought, close, answer = body[len(OPEN) :].partition(CLOSE)
        return (answer.lstrip(), thought) if close else ("", thought)
    if not is_separate and CLOSE in text:
        thought, _, answer = text.partition(CLOSE)
        return answer.lstrip(), thought
    return text, ""


def _skip_blank(text: str, position: int) -> int:
    return len(text) - len(text[position:].lstrip())


def _held_back(text: str) -> int:
    """Length of the end of a text that could begin `</think>`."""
    return next((size for size in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:size])), 0)
