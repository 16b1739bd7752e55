"""Somebody who keeps calling the API while something is broken, and notes what it says."""

import itertools
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

import httpx
from tests.chaos.world import World

_PAUSE_S = 0.1
_numbers = itertools.count(1)
HELLO = """\
treadle: 1
name: chaos-hello
version: 1.0.0
nodes:
  hello: {use: set, with: {text: hello}}
outputs: {text: "${{ hello.text }}"}
"""


class Asking:
    """Calls for as long as its block lasts.

    Attributes:
        statuses: How often each status came; 0 stands for no answer at all.
        accepted: Runs that it was told were accepted.
    """

    def __init__(self, around: World) -> None:
        self.statuses: Counter[int] = Counter()
        self.accepted: list[str] = []
        self._around = around
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(_PAUSE_S):
            key = f"asking-{next(_numbers)}"
            try:
                answer = self._around.rest.send(
                    "POST",
                    "/v1/runs",
                    json={"template": HELLO, "inputs": {}},
                    headers={"Idempotency-Key": key},
                )
            except httpx.TransportError:
                self.statuses[0] += 1
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 202:
                self.accepted.append(answer.json()["id"])

    def faults(self, *, allowed: frozenset[int] = frozenset({0, 202, 503, 507})) -> list[str]:
        """Answers that must not be, and runs that were promised and do not end well."""
        found = [f"answers: {dict(self.statuses)}"] if set(self.statuses) - allowed else []
        for run in self.accepted:
            shown = self._around.rest.ended(run, within_s=60)
            if shown["outputs"] != {"text": "hello"}:
                found.append(f"{run}: {shown['status']} {shown['error']}")
        return found


def seconds_until_ready(around: World) -> float:
    """How long it takes until the service is ready again."""
    since = time.monotonic()
    around.wait_ready()
    return time.monotonic() - since
