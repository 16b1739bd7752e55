"""Queries on the audit log."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Row, select, text

from treadle.platform.audit.chain import Break, Chain, Deed, Entry
from treadle.platform.audit.models import audit_log
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.log import get_log

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:place, 1))")

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list shows; `None` for all."""

    action: str | None = None
    actor: str | None = None


async def append_entry(
    tx: TenantConnection, chain: Chain, workspace: WorkspaceId, deed: Deed
) -> None:
    """Add a deed to the workspace's chain; others of the workspace wait until the commit."""
    await tx.execute(_LOCK, {"place": f"audit {workspace}"})
    newest = select(audit_log).order_by(audit_log.c.seq.desc()).limit(1)
    row = (await tx.execute(newest)).one_or_none()
    before = None if row is None else _read(row)
    entry = chain.link(workspace, before, deed, at=datetime.now(UTC))
    values = {"seq": entry.seq, "at": entry.at, "digest": entry.digest, **asdict(deed)}
    await tx.execute(audit_log.insert().values(values))
    log.info("audit.appended", action=deed.action, seq=entry.seq, digest=entry.digest.hex())


async def list_entries(
    tx: TenantConnection, wanted: AuditFilter, *, before: int | None, limit: int
) -> Sequence[Entry]:
    """Entries, newest first."""
    query = select(audit_log).order_by(audit_log.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(audit_log.c.seq < before)
    if wanted.action is not None:
        query = query.where(audit_log.c.action == wanted.action)
    if wanted.actor is not None:
        query = query.where(audit_log.c.actor == wanted.actor)
    return [_read(row) for row in await tx.execute(query)]


async def verify_chain(tx: TenantConnection, chain: Chain, workspace: WorkspaceId) -> Break | None:
    """Check every entry of a workspace; `None` when the chain holds."""
    rows = await tx.execute(select(audit_log).order_by(audit_log.c.seq))
    return chain.first_break(workspace, (_read(row) for row in rows))


def _read(row: Row[tuple[object, ...]]) -> Entry:
    deed = Deed(row.actor, row.key_id, row.action, row.object, row.ip, row.request_id, row.result)
    return Entry(row.seq, row.at, deed, bytes(row.digest))
