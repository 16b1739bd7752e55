"""Queries on connections and their sealed secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from treadle.platform.connections.errors import ConnectionExists
from treadle.platform.connections.models import connection_secrets, connections
from treadle.platform.connections.schemas import HttpConfig
from treadle.platform.connections.vault import Sealed
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """A stored connection, without its secrets."""

    id: UUID
    name: str
    type: str
    config: HttpConfig
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A sealed secret and its version."""

    version: int
    sealed: Sealed


async def insert_connection(
    tx: TenantConnection, record: ConnectionRecord, *, created_by: UUID
) -> None:
    """Store a connection; raises `ConnectionExists`."""
    query = (
        insert(connections)
        .values(
            id=record.id,
            name=record.name,
            type=record.type,
            config=record.config.model_dump(),
            created_at=record.created_at,
            created_by=created_by,
        )
        .on_conflict_do_nothing(index_elements=["workspace_id", "name"])
        .returning(connections.c.id)
    )
    if (await tx.execute(query)).first() is None:
        raise ConnectionExists(record.name)


async def insert_secret(
    tx: TenantConnection, connection: UUID, *, field: str, record: SecretRecord
) -> None:
    """Store a sealed secret of a connection."""
    await tx.execute(
        connection_secrets.insert().values(
            connection_id=connection,
            field=field,
            version=record.version,
            kek_id=record.sealed.kek_id,
            wrapped_key=record.sealed.wrapped_key,
            sealed=record.sealed.sealed,
        )
    )


async def get_connection(tx: TenantConnection, connection: UUID) -> ConnectionRecord:
    """Return a connection; raises `NotFound`."""
    query = select(connections).where(connections.c.id == connection)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound("connection", str(connection))
    return _read(row)


async def find_connections(
    tx: TenantConnection, ids: Sequence[UUID]
) -> dict[UUID, ConnectionRecord]:
    """Return those that exist, by id."""
    rows = await tx.execute(select(connections).where(connections.c.id.in_(ids)))
    return {row.id: _read(row) for row in rows}


async def list_connections(
    tx: TenantConnection, *, before: UUID | None, limit: int
) -> list[ConnectionRecord]:
    """Connections, newest first."""
    query = select(connections).order_by(connections.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(connections.c.id < before)
    return [_read(row) for row in await tx.execute(query)]


async def get_secret(tx: TenantConnection, connection: UUID, *, field: str) -> SecretRecord:
    """Return a sealed secret; raises `NotFound`."""
    query = select(connection_secrets).where(
        connection_secrets.c.connection_id == connection, connection_secrets.c.field == field
    )
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound("connection", str(connection))
    return SecretRecord(row.version, Sealed(row.kek_id, row.wrapped_key, row.sealed))


async def delete_connection(tx: TenantConnection, connection: UUID) -> None:
    """Delete a connection and its secrets; raises `NotFound`."""
    result = await tx.execute(connections.delete().where(connections.c.id == connection))
    if result.rowcount == 0:
        raise NotFound("connection", str(connection))


def _read(row: Row[tuple[object, ...]]) -> ConnectionRecord:
    return ConnectionRecord(
        id=row.id,
        name=row.name,
        type=row.type,
        config=HttpConfig.model_validate(row.config),
        created_at=row.created_at,
    )
