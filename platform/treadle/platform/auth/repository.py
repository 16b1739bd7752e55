"""Queries on API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, Select, func, select

from treadle.platform.auth.models import api_keys
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound
from treadle.platform.members.models import members


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it may be shown: without the key. `member` is an e-mail address."""

    id: UUID
    name: str
    last4: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    member: str | None = None


async def insert_key(
    connection: TenantConnection,
    record: KeyRecord,
    *,
    mac: bytes,
    created_by: UUID | None,
    member_id: UUID | None,
) -> None:
    """Store a new key's MAC."""
    await connection.execute(
        api_keys.insert().values(
            id=record.id,
            name=record.name,
            last4=record.last4,
            scopes=[scope.value for scope in record.scopes],
            created_at=record.created_at,
            expires_at=record.expires_at,
            created_by=created_by,
            member_id=member_id,
            mac=mac,
        )
    )


async def list_keys(
    connection: TenantConnection, *, before: UUID | None, limit: int
) -> Sequence[KeyRecord]:
    """Keys, newest first."""
    query = _shown().order_by(api_keys.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [_read(row) for row in await connection.execute(query)]


async def lock_key(connection: TenantConnection, key_id: UUID) -> tuple[KeyRecord, UUID | None]:
    """A key that is about to be replaced, and its member's id; raises `NotFound`."""
    query = _shown().where(api_keys.c.id == key_id).with_for_update(of=api_keys)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("key", str(key_id))
    return _read(row), row.member_id


async def expire_key(connection: TenantConnection, key_id: UUID, *, at: datetime) -> None:
    """Let a key end at a time, if it does not end before."""
    query = api_keys.update().where(api_keys.c.id == key_id)
    await connection.execute(query.values(expires_at=func.least(api_keys.c.expires_at, at)))


async def delete_key(connection: TenantConnection, key_id: UUID) -> None:
    """Delete a key; raises `NotFound`."""
    result = await connection.execute(api_keys.delete().where(api_keys.c.id == key_id))
    if result.rowcount == 0:
        raise NotFound("key", str(key_id))


def _shown() -> Select[tuple[object, ...]]:
    joined = api_keys.outerjoin(
        members,
        (members.c.workspace_id == api_keys.c.workspace_id)
        & (members.c.id == api_keys.c.member_id),
    )
    return select(api_keys, members.c.email).select_from(joined)


def _read(row: Row[tuple[object, ...]]) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        name=row.name,
        last4=row.last4,
        scopes=tuple(Scope(scope) for scope in row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        member=row.email,
    )


async def has_keys(connection: TenantConnection) -> bool:
    """Whether the workspace has any key."""
    return (await connection.execute(select(api_keys.c.id).limit(1))).first() is not None
