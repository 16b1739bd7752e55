"""Server-sent events from bytes, cut anywhere."""

MAX_LINE = 1_000_000  # bytes; a piece of an answer is a few hundred


class EndlessEvent(ValueError):
    """A line or an event is longer than `MAX_LINE`."""

    def __init__(self) -> None:
        super().__init__(f"a line or event of more than {MAX_LINE:,} bytes")


class EventParser:
    """Takes bytes, gives the `data` of whole events. Comments and other fields are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[str]:
        """Events completed by this chunk; raises `EndlessEvent`."""
        *lines, self._rest = _lines(self._rest + chunk)
        if len(self._rest) > MAX_LINE:
            raise EndlessEvent
        events: list[str] = []
        for line in lines:
            if len(line) > MAX_LINE:
                raise EndlessEvent
            if line:
                self._take(line)
            elif self._data:
                events.append(self._pop())
        return events

    def finish(self) -> list[str]:
        """The event that lacks its final blank line, if any: some servers forget it."""
        if self._rest:
            self._take(self._rest.rstrip(b"\r\n"))
            self._rest = b""
        return [self._pop()] if self._data else []

    def _take(self, line: bytes) -> None:
        name, _, value = line.decode("utf-8", errors="replace").partition(":")
        if name.lstrip("\ufeff") != "data":
            return
        self._data.append(value.removeprefix(" "))
        self._size += len(value)
        if self._size > MAX_LINE:
            raise EndlessEvent

    def _pop(self) -> str:
        event = "\n".join(self._data)
        self._data, self._size = [], 0
        return event


def _lines(text: bytes) -> list[bytes]:
    """Split at LF, CRLF or CR; the last piece is the beginning of an unfinished line."""
    is_open = text.endswith(b"\r")  # its LF may come with the next chunk
    normal = (text[:-1] if is_open else text).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = normal.split(b"\n")
    if is_open:
        lines[-1] += b"\r"
    return lines
