"""A span, and how OTLP writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from treadle.agents.values import JsonObject, JsonValue

Attribute = str | int | float | bool


class Kind(IntEnum):
    """As OTLP numbers them."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took from `start` to `end`; `failure` says why it went wrong."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start: datetime
    end: datetime
    kind: Kind = Kind.INTERNAL
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    failure: str | None = None


def write_spans(spans: Sequence[Span], *, service: str) -> JsonObject:
    """The body of an export: `ExportTraceServiceRequest` in JSON."""
    written: list[JsonValue] = [_write(span) for span in spans]
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": service})},
                "scopeSpans": [{"scope": {"name": "treadle"}, "spans": written}],
            }
        ]
    }


def _write(span: Span) -> JsonObject:
    written: JsonObject = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": _nanoseconds(span.start),
        "endTimeUnixNano": _nanoseconds(max(span.start, span.end)),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_id is not None:
        written["parentSpanId"] = span.parent_id
    if span.failure is not None:
        written["status"] = {"code": 2, "message": span.failure}
    return written


def _nanoseconds(at: datetime) -> str:
    # In whole microseconds first: a float of this size is off by hundreds of nanoseconds.
    return str(round(at.timestamp() * 1_000_000) * 1000)


def _attributes(attributes: Mapping[str, Attribute]) -> list[JsonValue]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Attribute) -> JsonObject:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
