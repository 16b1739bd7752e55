"""`/v1/members`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, StringConstraints

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.members.repository import MemberRecord, list_members
from treadle.platform.members.roles import SCOPES_OF, Role
from treadle.platform.members.service import add_member, remove_member
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Body, Transaction, api_router, needs

router = api_router(tags=["members"])

# One @, and nothing that would end a header: whether mail arrives, only sending it tells.
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        max_length=254,
        pattern=r"^[^@\s\x00-\x1f<>,;]+@[^@\s\x00-\x1f<>,;]+$",
    ),
]


class NewMember(Body):
    """A person to add."""

    email: Email
    role: Role = Role.MEMBER


class MemberView(BaseModel):
    """A member; `scopes` is what keys of this role may have at most."""

    id: str
    email: str
    role: Role
    scopes: list[Scope]
    created_at: datetime


@router.post("/v1/members", status_code=HTTPStatus.CREATED)
async def create(
    body: NewMember, tx: Transaction, caller: Annotated[Caller, needs(Scope.WORKSPACE_WRITE)]
) -> MemberView:
    """Add a member, of no wider role than the caller's."""
    return _show(await add_member(tx, caller, email=body.email, role=body.role))


@router.get("/v1/members")
async def list_all(
    tx: Transaction,
    _: Annotated[Caller, needs(Scope.WORKSPACE_READ)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[MemberView]:
    """List the workspace's members, newest first."""
    found = await list_members(tx, before=read_id_cursor(cursor), limit=limit + 1)
    return make_page(found, limit=limit, show=_show, position=lambda member: member.id)


@router.delete("/v1/members/{member}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete(
    member: str, tx: Transaction, caller: Annotated[Caller, needs(Scope.WORKSPACE_WRITE)]
) -> None:
    """Remove a member by id or address; their keys stop within a second."""
    await remove_member(tx, caller, member)


def _show(record: MemberRecord) -> MemberView:
    return MemberView(
        id=str(record.id),
        email=record.email,
        role=record.role,
        scopes=[scope for scope in Scope if scope in SCOPES_OF[record.role]],
        created_at=record.created_at,
    )
