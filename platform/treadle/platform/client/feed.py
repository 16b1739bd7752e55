"""A run's events over as many connections as it takes: none is missed, none comes twice."""

import httpx
from pydantic import JsonValue, TypeAdapter, ValidationError

from treadle.platform.client.call import Call, nothing
from treadle.platform.client.errors import ApiError
from treadle.platform.client.models import Event
from treadle.platform.client.sse import Lines, Message
from treadle.platform.client.wire import PAUSES_S, Wire

# The service writes a comment at least every 15 s; silence for longer is a dead connection.
SILENCE_S = 45.0
_BODY: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class Feed:
    """Where a reader of a run's events is: what it has, and whether more will come."""

    def __init__(self, run_id: str, *, after: int | None) -> None:
        self._path = f"/v1/runs/{run_id}/events"
        self._last_id = after
        self._lines = Lines()
        self._failures = 0
        self.has_ended = False

    def call(self) -> Call[None]:
        """Return the call that continues after the last event."""
        self._lines = Lines()
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = str(self._last_id)
        return Call("GET", self._path, nothing, headers=headers, timeout_s=SILENCE_S)

    def take(self, line: str) -> Event | None:
        """Take a line of the answer; returns the event it completes, unless it came before."""
        message = self._lines.take(line)
        if message is None:
            return None
        event = _event(message)
        self._failures = 0
        if event.id is not None:
            if self._last_id is not None and event.id <= self._last_id:
                return None
            self._last_id = event.id
        self.has_ended = event.is_last
        return event

    def pause_s(self, wire: Wire, error: httpx.TransportError | None) -> float:
        """Return how long to wait before connecting again; without an error the answer just ended.

        Raises:
            Unreachable: It failed too often in a row.
        """
        attempt = self._failures
        self._failures += 1
        if error is None:
            return PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
        return wire.pause_s(self.call(), attempt, error)


def _event(message: Message) -> Event:
    try:
        body = _BODY.validate_json(message.text)
        number = int(message.id) if message.id else None
        kind = message.type or str(body.get("type", ""))
        return Event.model_validate({**body, "id": number, "type": kind, "body": body})
    except (ValidationError, ValueError) as error:
        raise ApiError(
            200, "unexpected_answer", f"an event of another shape: {message.text[:200]!r}"
        ) from error
