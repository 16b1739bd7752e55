"""`/v1/connections`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Response

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.connections.repository import (
    ConnectionRecord,
    delete_connection,
    get_connection,
    list_connections,
)
from treadle.platform.connections.schemas import ConnectionView, NewHttpConnection
from treadle.platform.connections.service import create_connection
from treadle.platform.db.ids import parse_id
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Transaction, Wired, api_router, needs

router = api_router(tags=["connections"])

Reader = Annotated[Caller, needs(Scope.CONNECTIONS_READ)]
Writer = Annotated[Caller, needs(Scope.CONNECTIONS_WRITE)]


@router.post("/v1/connections", status_code=HTTPStatus.CREATED)
async def create(
    body: NewHttpConnection, tx: Transaction, services: Wired, caller: Writer
) -> ConnectionView:
    """Store a connection; its secret goes in and never comes out."""
    return _show(await create_connection(tx, services.vault, caller, body))


@router.get("/v1/connections")
async def list_all(
    tx: Transaction, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[ConnectionView]:
    """List the workspace's connections, newest first."""
    records = await list_connections(tx, before=read_id_cursor(cursor), limit=limit + 1)
    return make_page(records, limit=limit, show=_show, position=lambda record: record.id)


@router.get("/v1/connections/{connection}")
async def get(connection: str, tx: Transaction, _: Reader) -> ConnectionView:
    """Show a connection, without its secret."""
    return _show(await get_connection(tx, parse_id("connection", connection)))


@router.delete(
    "/v1/connections/{connection}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
)
async def delete(connection: str, tx: Transaction, _: Writer) -> None:
    """Delete a connection at once; runs that still need it fail at that step."""
    await delete_connection(tx, parse_id("connection", connection))


def _show(record: ConnectionRecord) -> ConnectionView:
    return ConnectionView(
        id=str(record.id),
        type=record.type,
        name=record.name,
        auth=record.config.auth,
        hosts=record.config.hosts,
        header=record.config.header,
        created_at=record.created_at,
    )
