"""W3C trace context: what a request brings along, what a run keeps."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace; ids in lower-case hexadecimal.

    Attributes:
        is_sampled: Whoever began the trace wants its spans.
    """

    trace_id: str
    span_id: str
    is_sampled: bool = True

    @classmethod
    def read(cls, traceparent: str | None) -> Self | None:
        """Read the header; what is none is as good as missing."""
        found = _TRACEPARENT.fullmatch(traceparent or "")
        if found is None or set(found[1]) == {"0"} or set(found[2]) == {"0"}:
            return None
        return cls(found[1], found[2], is_sampled=bool(int(found[3], 16) & 1))

    def write(self) -> str:
        """The header."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"


present: ContextVar[TraceContext | None] = ContextVar("trace", default=None)
"""Where the request that is being served is."""
