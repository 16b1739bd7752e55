"""Spans of requests."""

import secrets
from datetime import UTC, datetime

from treadle.platform.tracing.context import TraceContext
from treadle.platform.tracing.exporter import Exporter
from treadle.platform.tracing.spans import Kind, Span

_SERVER_ERROR = 500


class RequestTrace:
    """The span of one request that is being served."""

    def __init__(self, caller: TraceContext | None) -> None:
        self._caller = caller
        self._start = datetime.now(UTC)
        self.context = TraceContext(
            secrets.token_hex(16) if caller is None else caller.trace_id,
            secrets.token_hex(8),
            is_sampled=caller is None or caller.is_sampled,
        )

    def end(self, exporter: Exporter, *, method: str, route: str, status: int) -> None:
        """Export it, if the trace is wanted. Routes, not paths: those name things of tenants."""
        if not self.context.is_sampled:
            return
        exporter.add(
            Span(
                self.context.trace_id,
                self.context.span_id,
                None if self._caller is None else self._caller.span_id,
                f"{method} {route}",
                self._start,
                datetime.now(UTC),
                kind=Kind.SERVER,
                attributes={
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": status,
                },
                failure=str(status) if status >= _SERVER_ERROR else None,
            )
        )
