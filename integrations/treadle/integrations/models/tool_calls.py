"""The tool calls of an answer, put together from the pieces of a stream."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from treadle.integrations.models.calls import ToolCall
from treadle.integrations.models.wire import WireToolCall

MOST_CALLS = 64  # in one message; a model that asks for more is lost
MAX_ARGUMENTS = 1_000_000  # characters; what comes after is dropped, so that they are no JSON


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class CallCollector:
    """Takes calls whole or in pieces; a piece belongs to the call at its index."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}

    def take(self, pieces: Iterable[WireToolCall]) -> None:
        """Add the pieces of one event, or the calls of a whole message."""
        for piece in pieces:
            index = self._index(piece)
            if index not in self._calls and len(self._calls) >= MOST_CALLS:
                continue
            call = self._calls.setdefault(index, _Call())
            call.id = call.id or piece.id or ""
            if piece.function is not None:
                call.name = call.name or piece.function.name or ""
                arguments = _as_text(piece.function.arguments)
                call.arguments = (call.arguments + arguments)[:MAX_ARGUMENTS]

    def result(self) -> tuple[ToolCall, ...]:
        """The calls in the order of the message; those without an id get one."""
        ordered = (self._calls[index] for index in sorted(self._calls))
        return tuple(
            ToolCall(call.id or f"call_{number}", call.name, call.arguments)
            for number, call in enumerate(ordered)
        )

    def _index(self, piece: WireToolCall) -> int:
        """Its own; a server that leaves it out sends each call whole, or the id only once."""
        if piece.index is not None:
            return piece.index
        last = max(self._calls, default=-1)
        return last if piece.id is None and last >= 0 else last + 1


def _as_text(arguments: object) -> str:
    """Some servers send the arguments as an object."""
    if arguments is None:
        return ""
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False)
