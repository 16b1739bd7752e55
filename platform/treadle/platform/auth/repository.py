"""Queries on API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from treadle.platform.auth.models import api_keys
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it may be shown: without the key."""

    id: UUID
    name: str
    last4: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


async def insert_key(
    connection: TenantConnection, record: KeyRecord, *, mac: bytes, created_by: UUID | None
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
            mac=mac,
        )
    )


async def list_keys(
    connection: TenantConnection, *, before: UUID | None, limit: int
) -> Sequence[KeyRecord]:
    """Keys, newest first."""
    query = select(api_keys).order_by(api_keys.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [
        KeyRecord(
            id=row.id,
            name=row.name,
            last4=row.last4,
            scopes=tuple(Scope(scope) for scope in row.scopes),
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
        )
        for row in await connection.execute(query)
    ]


async def delete_key(connection: TenantConnection, key_id: UUID) -> None:
    """Delete a key; raises `NotFound`."""
    result = await connection.execute(api_keys.delete().where(api_keys.c.id == key_id))
    if result.rowcount == 0:
        raise NotFound("key", str(key_id))


async def has_keys(connection: TenantConnection) -> bool:
    """Whether the workspace has any key."""
    return (await connection.execute(select(api_keys.c.id).limit(1))).first() is not None
