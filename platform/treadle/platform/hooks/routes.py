"""`/v1/hooks`."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import BackgroundTasks, Request

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import new_id, parse_id
from treadle.platform.engine.ids import RunId
from treadle.platform.hooks.receiving import (
    Received,
    Reception,
    require_signature,
    shown_headers,
)
from treadle.platform.hooks.repository import (
    HookEvent,
    find_hook,
    get_event,
    get_hook,
    list_events,
    list_hooks,
)
from treadle.platform.hooks.schemas import HookEventView, HookView, ReceivedView
from treadle.platform.hooks.taking import hook_url
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Transaction, Wired, api_router, needs

router = api_router(tags=["hooks"])

Reader = Annotated[Caller, needs(Scope.WORKSPACE_READ)]
Writer = Annotated[Caller, needs(Scope.WORKSPACE_WRITE)]


@router.post("/v1/hooks/{token}", status_code=HTTPStatus.ACCEPTED)
async def receive(token: str, request: Request, services: Wired) -> ReceivedView:
    """Start the agent that this address belongs to; signed as Standard Webhooks says."""
    workspace, hook_id = await find_hook(services.database, token)
    body, headers = await request.body(), dict(request.headers)
    async with services.database.tenant(workspace) as tx:
        hook, _agent = await get_hook(tx, hook_id)
        message = require_signature(services.vault, workspace, hook, headers, body, now=time.time())
        event = HookEvent(
            id=new_id(),
            hook_id=hook_id,
            message_id=message,
            received_at=datetime.now(UTC),
            headers=shown_headers(headers),
            query=dict(request.query_params),
            body=body,
        )
        received = await Reception(tx, services.launcher, workspace, hook).receive(event)
    shown = _answer(received)
    services.runs.ring([] if received.is_repeated else [RunId(parse_id("run", shown.run))])
    return shown


@router.get("/v1/hooks")
async def list_all(
    tx: Transaction, services: Wired, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[HookView]:
    """List the webhook triggers that agents took, newest first."""
    rows = await list_hooks(tx, before=read_id_cursor(cursor), limit=limit + 1)
    base = services.settings.public_url or services.settings.url
    return make_page(
        rows,
        limit=limit,
        show=lambda row: HookView(
            id=str(row[0].id),
            agent=row[1],
            url=hook_url(base, row[0].token),
            created_at=row[0].created_at,
        ),
        position=lambda row: row[0].id,
    )


@router.get("/v1/hooks/{hook}/events")
async def get_events(
    hook: str, tx: Transaction, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[HookEventView]:
    """List what a hook received, newest first."""
    found, _agent = await get_hook(tx, parse_id("hook", hook))
    events = await list_events(tx, found.id, before=read_id_cursor(cursor), limit=limit + 1)
    return make_page(events, limit=limit, show=_show_event, position=lambda event: event.id)


@router.post("/v1/hooks/{hook}/events/{event}/replay", status_code=HTTPStatus.ACCEPTED)
async def replay(
    hook: str,
    event: str,
    tx: Transaction,
    services: Wired,
    caller: Writer,
    after: BackgroundTasks,
) -> ReceivedView:
    """Start a new run from what was received before, with the agent as it is now."""
    found, _agent = await get_hook(tx, parse_id("hook", hook))
    recorded = await get_event(tx, found.id, parse_id("event", event))
    again = replace(
        recorded,
        id=(identifier := new_id()),
        message_id=f"replay:{identifier}",
        received_at=datetime.now(UTC),
        dedupe=None,
        run_id=None,
        error=None,
        replay_of=recorded.id,
    )
    once = replace(found, dedupe=None)
    received = await Reception(tx, services.launcher, caller.workspace, once).receive(again)
    shown = _answer(received)
    after.add_task(services.runs.ring, [RunId(parse_id("run", shown.run))])
    return shown


def _answer(received: Received) -> ReceivedView:
    """Raises the refusal where no run was started."""
    if received.refusal is not None or received.run is None:
        assert received.refusal is not None  # noqa: S101 - without a run there is a reason
        raise received.refusal
    run = str(received.run)
    return ReceivedView(id=run, run=run, event=str(received.event), repeated=received.is_repeated)


def _show_event(event: HookEvent) -> HookEventView:
    return HookEventView(
        id=str(event.id),
        message_id=event.message_id,
        received_at=event.received_at,
        headers=dict(event.headers),
        query=dict(event.query),
        body=event.body.decode(errors="replace"),
        run=None if event.run_id is None else str(event.run_id),
        error=event.error,
        replay_of=None if event.replay_of is None else str(event.replay_of),
    )
