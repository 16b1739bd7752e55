"""Spans of requests for OpenTelemetry, sent where a setting names a collector.

OTLP over HTTP, in JSON, which needs an HTTP client and nothing else. Whatever becomes of the spans,
nobody waits.
"""

import asyncio
import logging
import re
import secrets
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import time_ns

import httpx
from pydantic import JsonValue

log = logging.getLogger(__name__)
Attribute = str | int | float | bool
SERVICE = "treadle-model-runtime"
MOST_PENDING = 10_000
MOST_AT_ONCE = 512
EVERY_S = 2.0
TIMEOUT_S = 5.0
SERVER, ERROR = 2, 2  # OTLP's numbers for a span of a server, and for a status of failure
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(slots=True)
class Span:
    """One request while it is served; W3C's ids, in lower-case hexadecimal."""

    trace_id: str
    parent_id: str | None
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))
    start_ns: int = field(default_factory=time_ns)
    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    events: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    def note(self, name: str, value: Attribute) -> None:
        """Add what became known."""
        self.attributes[name] = value

    def mark(self, name: str) -> None:
        """Something happened now."""
        self.events.append((name, time_ns()))

    def written(self, name: str, status: int) -> JsonValue:
        """As OTLP has it, ended now."""
        found: dict[str, JsonValue] = {
            "traceId": self.trace_id,
            "spanId": self.span_id,
            "name": name,
            "kind": SERVER,
            "startTimeUnixNano": str(self.start_ns),
            "endTimeUnixNano": str(time_ns()),
            "attributes": _attributes(self.attributes),
            "events": [{"name": told, "timeUnixNano": str(at)} for told, at in self.events],
        }
        if self.parent_id is not None:
            found["parentSpanId"] = self.parent_id
        if status >= 500:
            found["status"] = {"code": ERROR, "message": str(status)}
        return found


present: ContextVar[Span | None] = ContextVar("span", default=None)
"""The span of the request that is being served, where requests are traced."""


def begun(traceparent: str) -> Span | None:
    """A span under the caller's, if that wants one; no header is as good as a wrong one."""
    found = _PARENT.fullmatch(traceparent)
    if found is None or set(found[1]) == {"0"} or set(found[2]) == {"0"}:
        return Span(secrets.token_hex(16), None)
    return Span(found[1], found[2]) if int(found[3], 16) & 1 else None


class Exporter:
    """Sends spans to one collector; while it is away the oldest are dropped."""

    def __init__(self, endpoint: str, *, every_s: float = EVERY_S) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        self._every_s = every_s
        self._spans: deque[JsonValue] = deque(maxlen=MOST_PENDING)
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.create_task(self._work(), name="tracing")

    def add(self, span: JsonValue) -> None:
        """Send this soon."""
        self._spans.append(span)

    async def stop(self) -> None:
        """Send what is left, once."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._flush()
        await self._client.aclose()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._flush()

    async def _flush(self) -> None:
        while self._spans:
            spans = [self._spans.popleft() for _ in range(min(MOST_AT_ONCE, len(self._spans)))]
            try:
                answer = await self._client.post(self._url, json=_export(spans))
                answer.raise_for_status()
            except httpx.HTTPError as error:
                log.warning("tracing.dropped spans=%s reason=%s", len(spans), error)
                return


def _export(spans: list[JsonValue]) -> JsonValue:
    """The body of an `ExportTraceServiceRequest`."""
    resource: JsonValue = {"attributes": _attributes({"service.name": SERVICE})}
    scoped: JsonValue = {"scope": {"name": "treadle"}, "spans": spans}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}


def _attributes(attributes: Mapping[str, Attribute]) -> list[JsonValue]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Attribute) -> JsonValue:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
