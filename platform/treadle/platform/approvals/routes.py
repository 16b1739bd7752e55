"""`/v1/approvals`, `/v1/callbacks/{token}` and the page `/a/{token}`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Request
from fastapi.responses import HTMLResponse
from pydantic import JsonValue as Json
from pydantic import TypeAdapter

from treadle.agents.values import JsonObject
from treadle.platform.approvals.answering import PageAnswer, answer_page, open_page
from treadle.platform.approvals.repository import (
    WaitRecord,
    answer_wait,
    find_wait,
    list_approvals,
    workspace_of,
)
from treadle.platform.approvals.schemas import ApprovalView, CallbackView, Decision, DecisionView
from treadle.platform.approvals.service import actions_of, decide
from treadle.platform.approvals.style import PAGE_POLICY
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import parse_id
from treadle.platform.engine.leases import ENDED
from treadle.platform.errors import NotFound
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Transaction, Wired, api_router, needs, read_json
from treadle.platform.runs.errors import RunFinished

router = api_router(tags=["approvals"])

Reader = Annotated[Caller, needs(Scope.RUNS_READ)]
Writer = Annotated[Caller, needs(Scope.RUNS_WRITE)]
_ITEM: TypeAdapter[int | list[int] | None] = TypeAdapter(int | list[int] | None)
_ANY: TypeAdapter[Json] = TypeAdapter(Json)


@router.get("/v1/approvals")
async def list_all(
    tx: Transaction, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[ApprovalView]:
    """List what waits for a decision, the oldest first."""
    rows = await list_approvals(tx, after=read_id_cursor(cursor), limit=limit + 1)
    return make_page(rows, limit=limit, show=_show, position=lambda row: row.id)


@router.post("/v1/approvals/{approval}")
async def answer(approval: str, body: Decision, services: Wired, caller: Writer) -> DecisionView:
    """Decide; the first answer counts, any other gets 409."""
    async with services.database.tenant(caller.workspace) as tx:
        found = await find_wait(tx, parse_id("approval", approval), kind="approval")
        given = await decide(
            tx,
            services.templates,
            found,
            action=body.action,
            form=body.form,
            by=caller.owner or f"key:{caller.key_id}",
        )
    services.runs.signal([found.run])
    return DecisionView(
        id=str(found.id),
        run=str(found.run),
        node=found.node,
        path=found.path,
        action=given.action,
        form=given.form,
        by=given.by,
        at=given.at,
    )


@router.post("/v1/callbacks/{token}", status_code=HTTPStatus.ACCEPTED)
async def call_back(token: str, request: Request, services: Wired) -> CallbackView:
    """End a wait for a callback; the body, any JSON or none, is its payload."""
    wait = services.tokens.read_callback(token)
    workspace = None if wait is None else await workspace_of(services.database, wait)
    if wait is None or workspace is None:
        raise NotFound("callback", token[:80])
    body = await request.body()
    payload = _ANY.validate_python(read_json(body)) if body.strip() else None
    async with services.database.tenant(workspace) as tx:
        found = await find_wait(tx, wait, kind="callback")
        if found.run_status in ENDED:
            raise RunFinished(found.run, found.run_status)
        await answer_wait(tx, found, payload, by=None)
    services.runs.signal([found.run])
    return CallbackView(run=str(found.run))


@router.get("/a/{token}", include_in_schema=False)
async def show_page(token: str, services: Wired) -> HTMLResponse:
    """The page on which a person decides; looking at it changes nothing."""
    return _html(await open_page(services, token))


@router.post("/a/{token}", include_in_schema=False)
async def answer_on_page(token: str, request: Request, services: Wired) -> HTMLResponse:
    """Decide on the page."""
    return _html(await answer_page(services, token, await request.body()))


def _html(answer: PageAnswer) -> HTMLResponse:
    headers = {"Content-Security-Policy": PAGE_POLICY}
    return HTMLResponse(answer.html, status_code=answer.status, headers=headers)


def _show(approval: WaitRecord) -> ApprovalView:
    asked = approval.asked
    form = asked.get("form")
    empty: JsonObject = {}
    return ApprovalView(
        id=str(approval.id),
        run=str(approval.run),
        node=approval.node,
        path=approval.path,
        item=_ITEM.validate_python(approval.item),
        title=str(asked.get("title", approval.node)),
        show=asked.get("show"),
        actions=actions_of(approval),
        form=form if isinstance(form, dict) else empty,
        created_at=approval.created_at,
        until=approval.until,
    )
