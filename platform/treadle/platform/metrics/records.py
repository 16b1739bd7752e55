"""What ledger records say in numbers."""

from collections.abc import Sequence
from datetime import datetime

from treadle.agents.ports import FINISHED, StepRecord, StepStatus
from treadle.platform.metrics.instruments import (
    MODEL_CALLS,
    MODEL_TOKENS,
    RUN_SECONDS,
    STEP_SECONDS,
)
from treadle.platform.usage.tally import Count

_STEPS = {status: STEP_SECONDS.labels(status.value) for status in StepStatus}


def observe_records(records: Sequence[StepRecord]) -> None:
    """Count steps that ended and model calls that were answered."""
    for record in records:
        if record.call is None:
            if record.status in FINISHED and record.started_at and record.finished_at:
                seconds = (record.finished_at - record.started_at).total_seconds()
                _STEPS[record.status].observe(max(0.0, seconds))
            continue
        count = Count.of(record)
        if count is not None and count.usage is not None:
            MODEL_CALLS.labels(count.model).inc(count.usage.model_calls)
            MODEL_TOKENS.labels(count.model, "input").inc(count.usage.input_tokens)
            MODEL_TOKENS.labels(count.model, "output").inc(count.usage.output_tokens)
            MODEL_TOKENS.labels(count.model, "cached").inc(count.usage.cached_tokens)


def observe_run(status: str, *, started_at: datetime, ended_at: datetime) -> None:
    """Count a run that ended."""
    RUN_SECONDS.labels(status).observe(max(0.0, (ended_at - started_at).total_seconds()))
