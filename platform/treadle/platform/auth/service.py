"""Making keys."""

from datetime import UTC, datetime
from uuid import UUID

from treadle.platform.auth.callers import Caller, KeyRing
from treadle.platform.auth.repository import KeyRecord, insert_key
from treadle.platform.auth.scopes import Scope
from treadle.platform.auth.tokens import ApiKey, make_key
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.errors import Forbidden, Unprocessable


async def create_key(
    connection: TenantConnection,
    ring: KeyRing,
    *,
    name: str,
    scopes: frozenset[Scope],
    expires_at: datetime | None = None,
    created_by: UUID | None = None,
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
    )
    await insert_key(connection, record, mac=ring.mac(key), created_by=created_by)
    return record, key


async def create_key_as(
    connection: TenantConnection,
    ring: KeyRing,
    caller: Caller,
    *,
    name: str,
    scopes: frozenset[Scope] | None,
    expires_at: datetime | None,
) -> tuple[KeyRecord, ApiKey]:
    """Make a key by means of another, which it cannot exceed: neither in scope nor in time.

    Without `scopes` it gets all that the caller has.
    """
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
    )
