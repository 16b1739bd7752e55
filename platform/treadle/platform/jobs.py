"""Bells: messages that name runs and mean "look at these". They carry no work and may be lost.

Workers are rung by the name of their task; nothing of theirs is imported. Ringing never fails:
a run that no bell announced is found by the sweep.
"""

import asyncio
import json
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from kombu import Connection, Producer
from typing_extensions import override

from treadle.platform.engine.ids import RunId
from treadle.platform.log import get_log

ADVANCE_RUNS = "treadle.advance_runs"
"""Name of the task; its one argument is a list of run ids."""

QUEUE = "treadle"
BROKER_OPTIONS = {
    # Messages are not work: none is kept until it is acknowledged, none comes back.
    "ack_emulation": False,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
}

GATHER_S = 0.002
MOST_RUNS = 500
_FORGET_S = 0.25
_PAUSE_S = 1.0

log = get_log(__name__)


class Bell:
    """Rings for runs from an event loop; a thread of its own speaks with the broker.

    A run is rung for at once if nothing else that was rung for is still unheard of, else together
    with what comes within 2 ms: one caller waits for nothing, many share their messages.
    """

    def __init__(self, broker_url: str) -> None:
        self._messages: queue.SimpleQueue[list[RunId] | None] = queue.SimpleQueue()
        self._publisher = _Publisher(broker_url, self._messages)
        self._gathered: dict[RunId, None] = {}
        self._open: dict[RunId, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to ring."""
        self._publisher.start()

    async def stop(self) -> None:
        """Ring for what was gathered, then stop."""
        self._send()
        self._messages.put(None)
        await asyncio.to_thread(self._publisher.join, 3.0)

    def ring(self, runs: Sequence[RunId]) -> None:
        """Ask the workers to look at these runs."""
        self._gathered |= dict.fromkeys(runs)
        if not self._is_open() or len(self._gathered) >= MOST_RUNS:
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._send)

    def heard(self, run: RunId) -> None:
        """Note that a worker did something with a run."""
        self._open.pop(run, None)

    def _is_open(self) -> bool:
        now = time.monotonic()
        while self._open:
            run = next(iter(self._open))
            if self._open[run] > now:
                return True
            del self._open[run]  # never heard of: perhaps no worker is there
        return False

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            runs, self._gathered = list(self._gathered), {}
            until = time.monotonic() + _FORGET_S
            self._open |= dict.fromkeys(runs, until)
            self._messages.put(runs)


class _Publisher(threading.Thread):
    """Publishes what is in the queue; drops it while the broker is away."""

    def __init__(self, url: str, messages: "queue.SimpleQueue[list[RunId] | None]") -> None:
        super().__init__(name="bell", daemon=True)
        self._url = url
        self._messages = messages
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._deaf_until = 0.0

    @override
    def run(self) -> None:
        """Until the queue says `None`."""
        while (runs := self._messages.get()) is not None:
            for start in range(0, len(runs), MOST_RUNS):
                self._publish(runs[start : start + MOST_RUNS])
        self._close()

    def _publish(self, runs: Sequence[RunId]) -> None:
        if time.monotonic() < self._deaf_until:
            return
        try:
            self._open().publish(
                json.dumps([[[str(run) for run in runs]], {}, {}]),
                routing_key=QUEUE,
                content_type="application/json",
                content_encoding="utf-8",
                headers=_headers(),
                retry=False,
            )
        except Exception as error:  # noqa: BLE001 - kombu's, redis-py's or the socket's: the thread must live
            self._deaf_until = time.monotonic() + _PAUSE_S
            self._close()
            log.warning("bell.broken", runs=len(runs), reason=repr(error))

    def _open(self) -> Producer:
        if self._producer is None:
            self._connection = Connection(self._url, transport_options=BROKER_OPTIONS)
            self._producer = Producer(self._connection, auto_declare=False)
        return self._producer

    def _close(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # it is broken already, as often as not
                connection.release()


def _headers() -> dict[str, object]:
    """What Celery reads of a message's headers."""
    return {"lang": "py", "task": ADVANCE_RUNS, "id": uuid4().hex, "ignore_result": True}
