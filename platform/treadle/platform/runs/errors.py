"""What can go wrong with a run that was asked for something.

RunFinished                it has ended: nothing can be changed about it
NotRunnable                its template has a node type that this version cannot run yet
"""

from treadle.agents.errors import Issue
from treadle.platform.engine.ids import RunId
from treadle.platform.errors import Conflict, Unprocessable


class RunFinished(Conflict):
    """The run has ended."""

    code = "run_finished"

    def __init__(self, run: RunId, status: str) -> None:
        super().__init__(f"run {str(run)!r} has ended: it {_WORDS.get(status, status)}")


class NotRunnable(Unprocessable):
    """The template is right, but this version of Treadle cannot run it."""

    code = "not_runnable"

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message, issues=[Issue("error", path, None, None, message)])


_WORDS = {"succeeded": "succeeded", "failed": "failed", "cancelled": "was cancelled"}
