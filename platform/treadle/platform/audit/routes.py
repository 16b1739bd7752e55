"""`/v1/audit`."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from treadle.platform.audit.chain import Entry
from treadle.platform.audit.repository import AuditFilter, list_entries
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_offset_cursor
from treadle.platform.routing import Transaction, api_router, needs

router = api_router(tags=["audit"])


class AuditView(BaseModel):
    """Who did what, and whether they could."""

    seq: int
    at: datetime
    actor: str = Field(description="E-mail address of the member whose key it was.")
    key: str | None
    action: str
    object: str
    ip: str
    request_id: str
    result: str = Field(description="`ok` or `denied`.")
    digest: str = Field(description="Of this entry and all before it, in hexadecimal.")


@router.get("/v1/audit")
async def list_all(
    tx: Transaction,
    _: Annotated[Caller, needs(Scope.WORKSPACE_READ)],
    action: str | None = None,
    actor: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditView]:
    """List what was done in the workspace, newest first."""
    before = read_offset_cursor(cursor) or None
    found = await list_entries(tx, AuditFilter(action, actor), before=before, limit=limit + 1)
    return make_page(found, limit=limit, show=_show, position=lambda entry: entry.seq)


def _show(entry: Entry) -> AuditView:
    deed = entry.deed
    return AuditView(
        seq=entry.seq,
        at=entry.at,
        actor=deed.actor,
        key=None if deed.key_id is None else str(deed.key_id),
        action=deed.action,
        object=deed.object,
        ip=deed.ip,
        request_id=deed.request_id,
        result=deed.result,
        digest=entry.digest.hex(),
    )
