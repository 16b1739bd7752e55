"""Why `treadle up` does not start.

SupervisorError
├── AlreadyUp              another supervisor has this HOME
├── PortTaken              something else listens where the API should
├── HomeUnfit              HOME cannot be made or written
└── NothingRuns            a part is started alone, and its databases do not run
"""

from pathlib import Path

from treadle.platform.errors import PlatformError
from treadle.platform.supervisor.record import Record


class SupervisorError(PlatformError):
    """The start is refused; the message says what to do."""

    code = "not_started"


class AlreadyUp(SupervisorError):
    """Another supervisor has this HOME."""

    def __init__(self, home: Path, record: Record | None) -> None:
        who = "" if record is None else f" (process {record.pid}, {record.api_url})"
        super().__init__(
            f"Treadle already runs on {str(home)!r}{who}: use that one, stop it first,"
            " or set TREADLE_HOME and TREADLE_PORT for a second one"
        )


class PortTaken(SupervisorError):
    """Something else listens where the API should."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} of {host} is taken by another program: stop that one,"
            " or set TREADLE_PORT to a free one"
        )


class HomeUnfit(SupervisorError):
    """HOME cannot be made or written."""

    def __init__(self, home: Path, cause: str) -> None:
        super().__init__(
            f"TREADLE_HOME {str(home)!r} cannot be used ({cause}): set it to a folder you may write"
        )


class NothingRuns(SupervisorError):
    """A part is started alone, and its databases do not run."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"nothing runs on {str(home)!r}: start everything with `treadle up`, or set"
            " TREADLE_DATABASE_URL and TREADLE_REDIS_URL"
        )
