"""A log, folded for those who look at a run."""

from datetime import UTC, datetime

from treadle.agents.values import JsonObject
from treadle.platform.runs.views import LogRow, Progress

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def ended(seq: int, path: str, *, began: str | None) -> LogRow:
    """The entry of a step that began and ended before one commit, or was never begun."""
    entry: JsonObject = {"t": "step.succeeded", "path": path, "node": path, "started_at": began}
    return LogRow(seq, NOW, entry)


def test_steps_are_shown_in_the_order_in_which_they_began() -> None:
    """The second item was faster; a whole second is written without its fraction."""
    progress = Progress()
    progress.add([
        ended(1, "each[1].ask", began="2026-12-01T00:00:00.000002+00:00"),
        ended(2, "skipped", began=None),
        ended(3, "each[0].ask", began="2026-12-01T00:00:00+00:00"),
    ])  # fmt: skip
    assert [step["path"] for step in progress.begun] == ["each[0].ask", "each[1].ask", "skipped"]
