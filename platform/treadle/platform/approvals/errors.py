"""What can go wrong with an answer.

PlatformError
├── AlreadyAnswered        somebody was faster; the first answer counts
├── WaitOver               its time is over
└── WrongAnswer            no such action, or the form does not fit; the approval stays open
"""

from collections.abc import Sequence

from treadle.agents.errors import Issue
from treadle.platform.errors import Conflict, Unprocessable


class AlreadyAnswered(Conflict):
    """The first answer counts."""

    code = "already_answered"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} needs no answer any more: somebody was faster")


class WaitOver(Conflict):
    """Nobody answered in time."""

    code = "wait_over"

    def __init__(self, path: str) -> None:
        super().__init__(f"the time to answer {path!r} is over")


class WrongAnswer(Unprocessable):
    """The approval stays open."""

    code = "invalid_answer"

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__(f"{issues[0].path}: {issues[0].message}", issues=list(issues))
