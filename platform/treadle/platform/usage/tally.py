"""Counts what one lease of a run uses, to be written with its commits.

Tokens are written with the very commit of the call they were paid for; runs and steps when the
lease ends.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from treadle.agents.ports import FINISHED, StepRecord, Usage

MODEL_CALLS = "model."


@dataclass(frozen=True, slots=True)
class Count:
    """What one ledger record adds."""

    steps: int = 0
    model: str = ""
    usage: Usage | None = None

    @classmethod
    def of(cls, record: StepRecord) -> "Count | None":
        """A step that finished, or a model call; anything else counts nothing."""
        if record.call is None:
            return cls(steps=1) if record.status in FINISHED else None
        if record.usage is None or not record.call.startswith(MODEL_CALLS):
            return None
        return cls(model=str(record.extra.get("model", "")), usage=record.usage)


@dataclass(slots=True)
class Tally:
    """What was counted and not written yet."""

    _steps: int = 0
    _model: str = ""
    _calls: list[Count] = field(default_factory=list[Count])

    def add(self, counts: Iterable[Count | None]) -> None:
        """Count further records."""
        for count in counts:
            if count is None:
                continue
            self._steps += count.steps
            if count.usage is not None:
                self._calls.append(count)
                self._model = self._model or count.model

    def drain(self, *, is_release: bool, is_end: bool) -> str | None:
        """What to write with the next commit, as JSON rows; `None` for nothing.

        A row is `[model, runs, steps, model_calls, input, output, cached, cost]`. Runs and steps
        go with the first model that was used, so that no sum counts them twice.
        """
        rows = [_row(count) for count in self._calls]
        self._calls.clear()
        if is_release and (is_end or self._steps):
            rows.append([self._model, int(is_end), self._steps, 0, 0, 0, 0, None])
            self._steps = 0
        return json.dumps(rows) if rows else None


def _row(count: Count) -> list[object]:
    used = count.usage or Usage()
    tokens = (used.input_tokens, used.output_tokens, used.cached_tokens)
    return [count.model, 0, 0, used.model_calls, *tokens, used.cost_usd]
