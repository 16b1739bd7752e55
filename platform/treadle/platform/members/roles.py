"""What a member's keys may do at most. A key's own scopes narrow it further."""

from collections.abc import Mapping
from enum import StrEnum

from treadle.platform.auth.scopes import ALL_SCOPES, Scope


class Role(StrEnum):
    """From the widest to the narrowest."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


SCOPES_OF: Mapping[Role, frozenset[Scope]] = {
    Role.OWNER: ALL_SCOPES,
    Role.ADMIN: ALL_SCOPES,
    # Everything but members, hooks out and the like.
    Role.MEMBER: ALL_SCOPES - {Scope.WORKSPACE_WRITE},
    Role.VIEWER: frozenset(scope for scope in Scope if scope.value.endswith(":read")),
}

_ORDER = tuple(Role)


def outranks(role: Role, other: Role) -> bool:
    """Whether a role is wider than another."""
    return _ORDER.index(role) < _ORDER.index(other)
