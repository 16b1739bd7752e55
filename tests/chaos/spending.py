"""A model endpoint that keeps its own books: what was asked is what would have been paid."""

import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.doubles.model_server import Fault, Json, ModelServer, Refuses, Says, says

Answer = Says | Refuses | Fault
_TAG = re.compile(r"tag:(\S+)")


class SpendingLedger:
    """Answers by the prompt, and books every call under the `tag:…` that stands in it.

    A prompt with `use a tool` is answered with one call of `http_request` first.

    Attributes:
        on_call: Called with the tag when a call has been booked and not been answered yet.
        next_answers: Given in place of the usual answer, in order.
    """

    def __init__(self) -> None:
        self.on_call: Callable[[str], None] | None = None
        self.next_answers: list[Answer] = []
        self.pause_s = 0.12
        self._calls: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = ModelServer(self._answer)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self._server.url

    def calls(self, tag: str) -> int:
        """How many calls of this run were asked for."""
        return self._calls.get(tag, 0)

    def forget(self, tag: str) -> None:
        """Close the books of a run that was judged."""
        self._calls.pop(tag, None)
        self._server.bodies.clear()
        self._server.keys.clear()

    def _answer(self, body: Json) -> Answer:
        found = _TAG.search(str(body["messages"]))
        tag = found.group(1).rstrip("\"'}]),.") if found else ""
        with self._lock:
            self._calls[tag] = self._calls.get(tag, 0) + 1
            unusual = self.next_answers.pop(0) if self.next_answers else None
        if self.on_call is not None:
            self.on_call(tag)
        time.sleep(self.pause_s)
        if unusual is not None:
            return unusual
        is_first = all(message["role"] != "tool" for message in body["messages"])
        if is_first and "use a tool" in str(body["messages"]):
            return says("", calls=(("http_request", "{}"),), finish_reason="tool_calls")
        return says(f"Seen {tag}.")
