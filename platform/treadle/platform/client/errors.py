"""What can go wrong between a client and the service.

ClientError
├── ApiError               the service answered with an error
├── Unreachable            nothing answers at the URL
└── RunStillGoing          the time to wait for a run is over, the run is not
"""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

from treadle.agents.errors import Issue


class ClientError(Exception):
    """Base of all errors of this folder."""


class ApiError(ClientError):
    """The service answered with a problem.

    Attributes:
        status: The HTTP status.
        code: Never changes; programs decide by it.
        issues: What is wrong with the template or the inputs, if the problem is about those.
    """

    def __init__(
        self, status: int, code: str, message: str, *, issues: Sequence[Issue] = ()
    ) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)
        self.code = code
        self.message = message
        self.issues = tuple(issues)


class Unreachable(ClientError):
    """Nothing answers at the URL."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(
            f"no answer from {url} ({cause}): start the service with `treadle up`,"
            " or set TREADLE_API_URL to where it runs"
        )
        self.url = url


class RunStillGoing(ClientError):
    """The run goes on, only the waiting is over."""

    def __init__(self, run_id: str, waited: timedelta, status: str) -> None:
        super().__init__(f"run {run_id!r} is {status} after {waited.total_seconds():g} s")
        self.run_id = run_id
