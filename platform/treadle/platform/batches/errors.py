"""What can go wrong with batches.

PlatformError
├── BatchInvalid           the file is no table, has columns that are no inputs, or too many rows
└── NothingFailed          a retry, and no row to try again
"""

from treadle.agents.errors import Issue
from treadle.platform.errors import Conflict, Unprocessable


class BatchInvalid(Unprocessable):
    """The whole file is wrong; a row that is wrong is recorded instead."""

    code = "batch_invalid"

    def __init__(self, message: str, *, path: str = "", hint: str | None = None) -> None:
        super().__init__(message, issues=[Issue("error", path, None, None, message, hint)])


class NothingFailed(Conflict):
    """No row of the batch has failed."""

    code = "nothing_failed"

    def __init__(self) -> None:
        super().__init__("no row of this batch has failed: there is nothing to try again")
