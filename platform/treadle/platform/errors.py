"""Errors the API answers with, as RFC 9457 problem details.

PlatformError              `status` and a `code` that never changes
├── NotFound               no such thing, or the caller may not see it
├── Conflict               the thing is not in a state for this
├── Unauthenticated        no key, or a wrong one
├── Forbidden              the key lacks a scope
├── PayloadTooLarge        a body over its limit
├── UnsupportedMediaType   a body of a kind this call does not read
├── Unprocessable          well-formed but wrong; may carry `issues`
├── Unavailable            a part this call needs is away for now; try again
└── DatabaseUnfit          (db/errors.py) too old, or its user may not do what is needed
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar

from treadle.agents.errors import Issue


class PlatformError(Exception):
    """Base of all expected errors; anything else is a bug and answers 500.

    `members` stand in the problem details beside the usual ones, for programs to read,
    `headers` in the answer's head.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal"
    members: Mapping[str, str] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class NotFound(PlatformError):
    """No such thing in this workspace."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"no {kind} {name!r}", code=f"{kind}_not_found")


class Conflict(PlatformError):
    """The thing is not in a state for this call."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class Unauthenticated(PlatformError):
    """No key, or a wrong one."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"


class Forbidden(PlatformError):
    """The key lacks a scope."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class Unprocessable(PlatformError):
    """Well-formed but wrong."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid"

    def __init__(
        self, message: str, *, code: str | None = None, issues: list[Issue] | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.issues = issues


class PayloadTooLarge(PlatformError):
    """The body is over the limit of this call."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over the limit of {limit} bytes")


class UnsupportedMediaType(PlatformError):
    """The body is of a kind this call does not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class Unavailable(PlatformError):
    """A part that this call needs is away for now; asking again later may help."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
