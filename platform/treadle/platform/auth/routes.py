"""`/v1/keys`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.repository import KeyRecord, delete_key, list_keys
from treadle.platform.auth.scopes import Scope
from treadle.platform.auth.service import create_key_as
from treadle.platform.db.ids import parse_id
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Body, Transaction, Wired, api_router, needs

router = api_router(tags=["keys"])


class NewKey(Body):
    """A key to make; without `scopes` it may do all that the caller's may."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
    scopes: list[Scope] | None = Field(default=None, min_length=1)
    expires_at: AwareDatetime | None = None
    member: str | None = Field(
        default=None, max_length=254, description="Whose it is: id or address; yours by default."
    )


class KeyView(BaseModel):
    """A key as it is listed: never with the key itself."""

    id: str
    name: str
    last4: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    member: str | None = Field(description="E-mail address of the member whose it is.")


class MadeKey(KeyView):
    """The answer to making a key; `key` is shown this once."""

    key: str


@router.post("/v1/keys", status_code=HTTPStatus.CREATED)
async def create(
    body: NewKey,
    tx: Transaction,
    services: Wired,
    caller: Annotated[Caller, needs(Scope.KEYS_WRITE)],
) -> MadeKey:
    """Make a key, no wider than the caller's."""
    record, key = await create_key_as(
        tx,
        services.keys,
        caller,
        name=body.name,
        scopes=None if body.scopes is None else frozenset(body.scopes),
        expires_at=body.expires_at,
        member=body.member,
    )
    return MadeKey(key=key, **_show(record).model_dump())


@router.get("/v1/keys")
async def list_all(
    tx: Transaction,
    _: Annotated[Caller, needs(Scope.KEYS_READ)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[KeyView]:
    """List the workspace's keys, newest first."""
    keys = await list_keys(tx, before=read_id_cursor(cursor), limit=limit + 1)
    return make_page(keys, limit=limit, show=_show, position=lambda key: key.id)


@router.delete("/v1/keys/{key}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete(key: str, tx: Transaction, _: Annotated[Caller, needs(Scope.KEYS_WRITE)]) -> None:
    """Delete a key; it stops within a second, everywhere."""
    await delete_key(tx, parse_id("key", key))


def _show(record: KeyRecord) -> KeyView:
    return KeyView(
        id=str(record.id),
        name=record.name,
        last4=record.last4,
        scopes=list(record.scopes),
        created_at=record.created_at,
        expires_at=record.expires_at,
        last_used_at=record.last_used_at,
        member=record.member,
    )
