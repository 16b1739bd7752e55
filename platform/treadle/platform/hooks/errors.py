"""What can go wrong when a hook receives.

PlatformError
├── SignatureInvalid       not signed, signed with another secret, or too long ago
├── HookRefused            the payload does not give the agent's inputs; it is recorded
└── NotFound               no hook has this token
"""

from http import HTTPStatus
from typing import ClassVar

from treadle.agents.errors import Issue
from treadle.platform.errors import PlatformError, Unprocessable


class SignatureInvalid(PlatformError):
    """The request is not what the sender signed, or not signed lately."""

    status: ClassVar[HTTPStatus] = HTTPStatus.UNAUTHORIZED
    code = "invalid_signature"


class HookRefused(Unprocessable):
    """What was sent gives no valid inputs."""

    code = "hook_refused"

    def __init__(self, message: str, issues: list[Issue] | None = None) -> None:
        super().__init__(f"this payload starts no run: {message}", issues=issues)
