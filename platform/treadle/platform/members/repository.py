"""Queries on members."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.dialects.postgresql import insert

from treadle.platform.agents.models import agents
from treadle.platform.auth.models import api_keys
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound
from treadle.platform.members.errors import MemberExists
from treadle.platform.members.models import members
from treadle.platform.members.roles import Role


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """A person in a workspace."""

    id: UUID
    email: str
    role: Role
    created_at: datetime


async def insert_member(
    tx: TenantConnection, record: MemberRecord, *, created_by: UUID | None
) -> None:
    """Store a member; raises `MemberExists`."""
    query = (
        insert(members)
        .values(
            id=record.id,
            email=record.email,
            role=record.role.value,
            created_at=record.created_at,
            created_by=created_by,
        )
        .on_conflict_do_nothing(index_elements=["workspace_id", "email"])
        .returning(members.c.id)
    )
    if (await tx.execute(query)).first() is None:
        raise MemberExists(record.email)


async def find_member(tx: TenantConnection, member: str, *, lock: bool = False) -> MemberRecord:
    """Return a member by id or address; raises `NotFound`."""
    query = select(members).where(_named(member))
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("member", member)
    return _read(row)


async def list_members(
    tx: TenantConnection, *, before: UUID | None, limit: int
) -> Sequence[MemberRecord]:
    """Members, newest first."""
    query = select(members).order_by(members.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(members.c.id < before)
    return [_read(row) for row in await tx.execute(query)]


async def lock_owners(tx: TenantConnection) -> list[MemberRecord]:
    """The owners, whom nobody else can change until the transaction's end; the first one first."""
    query = select(members).where(members.c.role == Role.OWNER.value).order_by(members.c.id)
    return [_read(row) for row in await tx.execute(query.with_for_update())]


async def delete_member(tx: TenantConnection, member: UUID) -> None:
    """Delete a member and the member's keys."""
    await tx.execute(api_keys.delete().where(api_keys.c.member_id == member))
    await tx.execute(members.delete().where(members.c.id == member))


async def pass_agents_on(tx: TenantConnection, *, owner: str, heir: str) -> None:
    """Let somebody else own the agents of a member."""
    await tx.execute(agents.update().where(agents.c.owner == owner).values(owner=heir))


async def adopt_keys(tx: TenantConnection, member: UUID) -> None:
    """Give a member the keys that belong to nobody."""
    query = api_keys.update().where(api_keys.c.member_id.is_(None))
    await tx.execute(query.values(member_id=member))


def _named(member: str) -> ColumnElement[bool]:
    try:
        return members.c.id == UUID(member)
    except ValueError:
        return members.c.email == member.lower()


def _read(row: Row[tuple[object, ...]]) -> MemberRecord:
    return MemberRecord(row.id, row.email, Role(row.role), row.created_at)
