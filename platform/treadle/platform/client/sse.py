"""Server-sent events: lines in, messages out. Source: WHATWG HTML, "server-sent events"."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """One event as it came; `id` is empty where it has none of its own."""

    type: str
    id: str
    text: str


@dataclass(slots=True)
class Lines:
    """Collects lines until a blank one ends a message."""

    _type: str = ""
    _id: str = ""
    _text: list[str] = field(default_factory=list[str])

    def take(self, line: str) -> Message | None:
        """Take one line, without its end; returns the message that it completes."""
        if line == "":
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "id":
                self._id = value
            case "data":
                self._text.append(value)
            case _:  # a comment, which keeps the connection open, or `retry`
                pass
        return None

    def _complete(self) -> Message | None:
        message = Message(type=self._type, id=self._id, text="\n".join(self._text))
        has_text = bool(self._text)
        self._type, self._id, self._text = "", "", []
        return message if has_text else None
