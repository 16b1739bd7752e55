"""What can go wrong with connections.

PlatformError
├── ConnectionExists       the name is taken
└── SecretUnreadable       a stored secret does not open with this installation's key
"""

from http import HTTPStatus
from uuid import UUID

from treadle.platform.errors import Conflict, PlatformError


class ConnectionExists(Conflict):
    """The workspace has a connection of this name."""

    code = "connection_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a connection {name!r} already; delete it or take another name")


class SecretUnreadable(PlatformError):
    """A stored secret does not open; nothing but making the connection anew helps."""

    status = HTTPStatus.CONFLICT
    code = "secret_unreadable"

    def __init__(self, connection: UUID, *, reason: str) -> None:
        super().__init__(
            f"the secret of connection {str(connection)!r} cannot be read: {reason};"
            " restore TREADLE_SECRET_KEY or make the connection anew"
        )
