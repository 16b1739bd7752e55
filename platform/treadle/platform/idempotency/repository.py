"""Queries on idempotency keys."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.idempotency.models import idempotency_keys

# Who creates under a key holds this lock until its commit: so nobody ever waits for another's
# insert, least of all the acceptance of other workspaces' runs (`ACCEPT_KEYED` takes it too).
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:place, 0))")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key with its answer. `age_s` is by the database's clock."""

    fingerprint: bytes
    run_id: UUID | None
    status: int
    sealed: bytes
    is_final: bool
    created_at: datetime
    age_s: float


@dataclass(frozen=True, slots=True)
class KeyedAnswer:
    """A key as it is stored beside the run that it accepts."""

    key: str
    fingerprint: bytes
    status: int
    sealed: bytes
    is_final: bool


async def try_lock(tx: TenantConnection, workspace: WorkspaceId, key: str) -> bool:
    """Take the right to create under a key until the transaction ends, if nobody has it."""
    place = {"place": f"{workspace}{key}"}
    return bool((await tx.execute(_TRY_LOCK, place)).scalar_one())


async def find_key(tx: TenantConnection, key: str) -> KeyRow | None:
    """What is known of a key."""
    columns = idempotency_keys.c
    query = select(
        columns.fingerprint,
        columns.run_id,
        columns.status,
        columns.sealed,
        columns.is_final,
        columns.created_at,
        text("extract(epoch FROM now() - created_at)::float AS age_s"),
    ).where(columns.key == key)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else KeyRow(*row)


async def insert_key(
    tx: TenantConnection, key: str, *, fingerprint: bytes, status: int, sealed: bytes
) -> None:
    """Store a key with its final answer; the caller holds its lock."""
    values = {"key": key, "fingerprint": fingerprint, "status": status, "sealed": sealed}
    await tx.execute(idempotency_keys.insert().values(is_final=True, **values))


async def finish_key(tx: TenantConnection, key: str, *, status: int, sealed: bytes) -> None:
    """Store the answer of a request that waited."""
    query = idempotency_keys.update().where(
        idempotency_keys.c.key == key, idempotency_keys.c.is_final.is_(False)
    )
    await tx.execute(query.values(status=status, sealed=sealed, is_final=True))
