"""Who may join, and who may leave."""

from datetime import UTC, datetime

from treadle.platform.auth.callers import Caller
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.members.errors import LastOwner, RankTooLow
from treadle.platform.members.repository import (
    MemberRecord,
    delete_member,
    find_member,
    insert_member,
    lock_owners,
    pass_agents_on,
)
from treadle.platform.members.roles import Role, outranks


async def add_member(
    tx: TenantConnection, caller: Caller, *, email: str, role: Role
) -> MemberRecord:
    """Add a member, of no wider role than the caller's; raises `MemberExists`, `RankTooLow`."""
    require_rank(caller, role)
    record = MemberRecord(new_id(), email.lower(), role, datetime.now(UTC))
    await insert_member(tx, record, created_by=caller.key_id)
    return record


async def remove_member(tx: TenantConnection, caller: Caller, member: str) -> None:
    """Remove a member: their keys stop, their agents pass on to who is left.

    Raises `NotFound`, `RankTooLow` or `LastOwner`.
    """
    owners = await lock_owners(tx)
    record = await find_member(tx, member, lock=True)
    require_rank(caller, record.role)
    left = [owner.email for owner in owners if owner.id != record.id]
    if not left:
        raise LastOwner(record.email)
    heir = caller.owner if caller.owner not in {"", record.email} else left[0]
    await pass_agents_on(tx, owner=record.email, heir=heir)
    await delete_member(tx, record.id)


async def ensure_owner(tx: TenantConnection, email: str) -> MemberRecord:
    """Return the workspace's first owner, made if there is none."""
    owners = await lock_owners(tx)
    if owners:
        return owners[0]
    record = MemberRecord(new_id(), email.lower(), Role.OWNER, datetime.now(UTC))
    await insert_member(tx, record, created_by=None)
    return record


def require_rank(caller: Caller, role: Role) -> None:
    """Raise `RankTooLow` if a role stands above the caller's."""
    if caller.role is not None and outranks(role, caller.role):
        raise RankTooLow(caller.role, role)
