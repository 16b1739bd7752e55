"""Spans of runs, made of what is written into their ledgers."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from treadle.agents.ports import FINISHED, StepRecord, StepStatus
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.tracing.context import TraceContext
from treadle.platform.tracing.exporter import Exporter
from treadle.platform.tracing.spans import Attribute, Kind, Span

_INDEX = re.compile(r"\[\d+\]$")
_BAD = frozenset({StepStatus.FAILED, StepStatus.RECOVERED})


class RunTrace:
    """The trace of one run, as this process sees it."""

    def __init__(self, run: ClaimedRun, exporter: Exporter) -> None:
        self._run = run
        self._exporter = exporter
        began = TraceContext.read(run.traceparent)
        self.is_wanted = began is None or began.is_sampled
        self._trace_id = run.root_id.hex if began is None else began.trace_id
        self._above = None if began is None else began.span_id
        if run.parent_id is not None:
            self._above = _span_id(run.parent_id, "")

    def observe(self, records: Sequence[StepRecord]) -> None:
        """Add the steps and calls that ended with these records."""
        for record in records:
            if record.status in FINISHED and record.finished_at is not None:
                self._exporter.add(self._span(record, record.finished_at))

    def end(self, status: str) -> None:
        """Add the run itself."""
        run = self._run
        self._exporter.add(
            Span(
                self._trace_id,
                _span_id(run.id, ""),
                self._above,
                f"run {run.template}",
                run.started_at,
                datetime.now(UTC),
                attributes={
                    "treadle.run": str(run.id),
                    "treadle.template": run.template,
                    "treadle.version": run.version,
                    "treadle.status": status,
                },
                failure=None if status == "succeeded" else status,
            )
        )

    def _span(self, record: StepRecord, end: datetime) -> Span:
        place, above = record.path, _INDEX.sub("", record.path.rpartition(".")[0])
        if record.call is not None:
            place, above = f"{record.path}!{record.call}", record.path
        error = record.error
        return Span(
            self._trace_id,
            _span_id(self._run.id, place),
            _span_id(self._run.id, above),
            record.node if record.call is None else record.call,
            record.started_at or end,
            end,
            kind=Kind.INTERNAL if record.call is None else Kind.CLIENT,
            attributes=_attributes(record),
            # The code, not the message: that may quote what a tenant wrote.
            failure=error.code if error is not None and record.status in _BAD else None,
        )


def _span_id(run: UUID, place: str) -> str:
    return sha256(f"{run} {place}".encode()).hexdigest()[:16]


def _attributes(record: StepRecord) -> dict[str, Attribute]:
    shown: dict[str, Attribute] = {
        "treadle.path": record.path,
        "treadle.status": record.status.value,
        "treadle.attempt": record.attempt,
    }
    for name in ("model", "endpoint", "tool"):
        value = record.extra.get(name)
        if isinstance(value, str):
            shown[f"treadle.{name}"] = value
    if record.usage is not None:
        shown["gen_ai.usage.input_tokens"] = record.usage.input_tokens
        shown["gen_ai.usage.output_tokens"] = record.usage.output_tokens
    return shown
