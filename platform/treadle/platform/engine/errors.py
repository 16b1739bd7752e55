"""What can go wrong between the engine and its database.

DatabaseAway               the database did not answer; whether it did the work is unknown
CommitRefused              the database refused a write of one run, for a reason of that write
WorkerReplaced             another process runs under this worker's name
KeyTaken                   a run was not accepted: another request holds its idempotency key
"""

from http import HTTPStatus
from typing import ClassVar

from treadle.platform.errors import PlatformError


class DatabaseAway(PlatformError):
    """The statement may or may not have been carried out."""

    status: ClassVar[HTTPStatus] = HTTPStatus.SERVICE_UNAVAILABLE
    code = "database_unavailable"

    def __init__(self, cause: str) -> None:
        super().__init__(f"the database does not answer ({cause.strip()}); try again")


class CommitRefused(PlatformError):
    """A write that can never succeed as it is."""

    code = "commit_refused"


class WorkerReplaced(PlatformError):
    """This process must stop: its runs belong to the one that took its name."""

    code = "worker_replaced"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"another process runs as worker {name!r}: give every worker a name of its own"
        )


class KeyTaken(PlatformError):
    """Nothing was created; the answer of the request that holds the key is this one's, too."""

    status: ClassVar[HTTPStatus] = HTTPStatus.CONFLICT
    code = "idempotency_key_in_progress"

    def __init__(self) -> None:
        super().__init__("another request with this Idempotency-Key is under way; try again")
