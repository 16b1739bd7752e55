"""Making keys."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from treadle.platform.auth.callers import Caller, KeyRing
from treadle.platform.auth.repository import (
    KeyRecord,
    delete_key,
    expire_key,
    insert_key,
    lock_key,
)
from treadle.platform.auth.scopes import Scope
from treadle.platform.auth.tokens import ApiKey, make_key
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.errors import Forbidden, Unprocessable
from treadle.platform.members.repository import MemberRecord, find_member
from treadle.platform.members.service import require_rank


async def create_key(
    connection: TenantConnection,
    ring: KeyRing,
    *,
    name: str,
    scopes: frozenset[Scope],
    expires_at: datetime | None = None,
    created_by: UUID | None = None,
    member: MemberRecord | None = None,
) -> tuple[KeyRecord, ApiKey]:
    """Make a key; the key itself is returned this once and never again."""
    now = datetime.now(UTC)
    if expires_at is not None and expires_at <= now:
        raise Unprocessable(f"expires_at {expires_at.isoformat()} is past", code="expiry_past")
    key = make_key()
    record = KeyRecord(
        id=new_id(),
        name=name,
        last4=key[-4:],
        scopes=tuple(scope for scope in Scope if scope in scopes),
        created_at=now,
        expires_at=expires_at,
        last_used_at=None,
        member=None if member is None else member.email,
    )
    await insert_key(
        connection,
        record,
        mac=ring.mac(key),
        created_by=created_by,
        member_id=None if member is None else member.id,
    )
    return record, key


async def rotate_key(
    connection: TenantConnection, ring: KeyRing, key_id: UUID, *, grace: timedelta = timedelta()
) -> tuple[KeyRecord, ApiKey]:
    """Put a new key in the place of one; the old one works on for `grace`, then ends.

    Raises `NotFound`.
    """
    old, member_id = await lock_key(connection, key_id)
    key = make_key()
    now = datetime.now(UTC)
    record = replace(old, id=new_id(), last4=key[-4:], created_at=now, last_used_at=None)
    await insert_key(connection, record, mac=ring.mac(key), created_by=old.id, member_id=member_id)
    if grace > timedelta():
        await expire_key(connection, old.id, at=now + grace)
    else:
        await delete_key(connection, old.id)
    return record, key


async def create_key_as(
    connection: TenantConnection,
    ring: KeyRing,
    caller: Caller,
    *,
    name: str,
    scopes: frozenset[Scope] | None,
    expires_at: datetime | None,
    member: str | None = None,
) -> tuple[KeyRecord, ApiKey]:
    """Make a key by means of another, which it cannot exceed: neither in scope nor in time.

    Without `scopes` it gets all that the caller has. `member`, an id or address, is whose it is:
    the caller's own member, or another one for who may change members.
    """
    owner = await _owner(connection, caller, member)
    wider = (scopes or frozenset()) - caller.scopes
    if wider:
        names = ", ".join(sorted(wider))
        raise Forbidden(f"this key lacks the scopes it would give: {names}", code="wider_key")
    if caller.expires_at is not None:
        expires_at = expires_at or caller.expires_at
        if expires_at > caller.expires_at:
            raise Forbidden(
                f"this key expires at {caller.expires_at.isoformat()},"
                " the new one would outlive it",
                code="wider_key",
            )
    return await create_key(
        connection,
        ring,
        name=name,
        scopes=caller.scopes if scopes is None else scopes,
        expires_at=expires_at,
        created_by=caller.key_id,
        member=owner,
    )


async def _owner(
    connection: TenantConnection, caller: Caller, member: str | None
) -> MemberRecord | None:
    if member is not None:
        caller.require(Scope.WORKSPACE_WRITE)
        found = await find_member(connection, member)
        require_rank(caller, found.role)
        return found
    if caller.member_id is None:
        return None
    return await find_member(connection, str(caller.member_id))
