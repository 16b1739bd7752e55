"""`/v1/runs` and what lies below it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse

from treadle.agents.cassettes import Cassette
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.repository import find_agent
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import parse_id
from treadle.platform.engine.ids import RunId
from treadle.platform.pagination import Cursor, Limit, make_page, read_cursor, read_id_cursor
from treadle.platform.routing import Repeatable, Transaction, Wired, api_router, needs
from treadle.platform.runs.events import stream_events
from treadle.platform.runs.repository import RunFilter, get_run, list_runs, read_value
from treadle.platform.runs.schemas import (
    AgentRun,
    NewRunBody,
    RunPage,
    RunView,
    Status,
    StepPage,
    StepStatusName,
)
from treadle.platform.runs.service import Order
from treadle.platform.runs.streams import EventStream

router = api_router(tags=["runs"])

Reader = Annotated[Caller, needs(Scope.RUNS_READ)]
Writer = Annotated[Caller, needs(Scope.RUNS_WRITE)]

_STARTED: dict[int | str, dict[str, object]] = {
    HTTPStatus.OK: {"model": RunView, "description": "It ended within `wait_s`."}
}


@router.post(
    "/v1/agents/{agent}/runs",
    status_code=HTTPStatus.ACCEPTED,
    response_model=RunView,
    responses=_STARTED,
)
async def start_agent(
    agent: str, body: AgentRun, services: Wired, caller: Writer, attempt: Repeatable
) -> Response:
    """Run an agent."""
    order = Order(body.inputs, body.run_at, body.wait_s, attempt)
    return _started(*await services.runs.start_agent(caller, agent, order))


@router.post(
    "/v1/runs", status_code=HTTPStatus.ACCEPTED, response_model=RunView, responses=_STARTED
)
async def start_template(
    body: NewRunBody, services: Wired, caller: Writer, attempt: Repeatable
) -> Response:
    """Run a template without a stored agent."""
    started = await services.runs.start_template(
        caller,
        body.template,
        Order(body.inputs, body.run_at, body.wait_s, attempt),
        settings=body.settings.model_dump(),
        connections=body.connections,
    )
    return _started(*started)


@router.get("/v1/runs", response_model=RunPage)
async def list_all(
    tx: Transaction,
    services: Wired,
    _: Reader,
    agent: str | None = None,
    status: Status | None = None,
    template: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List runs, newest first."""
    agent_id = None if agent is None else (await find_agent(tx, agent)).id
    wanted = RunFilter(agent_id, status, template)
    rows = await list_runs(tx, wanted, before=read_id_cursor(cursor), limit=limit + 1)
    page = make_page(rows, limit=limit, show=lambda row: row, position=lambda row: row.id)
    items: list[JsonValue] = [await services.runs.show(tx, row) for row in page.items]
    return _json({"items": items, "next": page.next})


@router.get("/v1/runs/{run}", response_model=RunView)
async def get(run: str, tx: Transaction, services: Wired, _: Reader) -> Response:
    """Show a run."""
    return _json(await services.runs.show(tx, await get_run(tx, parse_id("run", run))))


@router.get("/v1/runs/{run}/steps", response_model=StepPage)
async def list_steps(
    run: str,
    tx: Transaction,
    services: Wired,
    _: Reader,
    path: Annotated[str | None, Query(description="A step, or all below it.")] = None,
    status: StepStatusName | None = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Response:
    """List a run's steps, in the order in which they began."""
    steps = await services.runs.steps(tx, parse_id("run", run))
    wanted = [step for step in steps if _is_wanted(step, path, status)]
    after = read_cursor(cursor)
    start = next((n + 1 for n, step in enumerate(wanted) if step["id"] == after), 0)
    page = make_page(
        wanted[start : start + limit + 1],
        limit=limit,
        show=lambda step: step,
        position=lambda step: step["id"],
    )
    items: list[JsonValue] = [*page.items]
    return _json({"items": items, "next": page.next})


@router.get("/v1/runs/{run}/cassette", response_model=Cassette)
async def get_cassette(run: str, tx: Transaction, services: Wired, _: Reader) -> Response:
    """Export a run that has ended, redacted, to be replayed against another version."""
    return _json(await services.runs.record(tx, parse_id("run", run)))


@router.get("/v1/runs/{run}/values/{ref}")
async def get_value(run: str, ref: str, tx: Transaction, _: Reader) -> Response:
    """Return an output that is too large for the step that made it."""
    return _json(await read_value(tx, parse_id("run", run), ref))


@router.get(
    "/v1/runs/{run}/events",
    response_class=StreamingResponse,
    responses={HTTPStatus.OK: {"content": {"text/event-stream": {}}}},
)
async def get_events(
    run: str,
    services: Wired,
    caller: Reader,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Follow a run: server-sent events, from the first or after `Last-Event-ID`, until its end."""
    run_id = RunId(parse_id("run", run))
    async with services.database.tenant(caller.workspace) as tx:
        row = await get_run(tx, run_id)
    after = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    events = stream_events(
        services.runs.feeds,
        services.runs.listener,
        run_id,
        caller.workspace,
        after=after,
        has_ended=row.finished_at is not None,
    )
    return EventStream(events)


@router.post("/v1/runs/{run}/cancel", status_code=HTTPStatus.ACCEPTED, response_model=RunView)
async def cancel(run: str, services: Wired, caller: Writer) -> Response:
    """End a run at once. What its steps finished stays finished."""
    shown = await services.runs.cancel(caller, parse_id("run", run))
    return _json(shown, HTTPStatus.ACCEPTED)


def _started(run: JsonObject, has_ended: bool) -> Response:
    return _json(run, HTTPStatus.OK if has_ended else HTTPStatus.ACCEPTED)


def _is_wanted(step: Mapping[str, JsonValue], path: str | None, status: str | None) -> bool:
    if status is not None and step["status"] != status:
        return False
    here = str(step["path"])
    return path is None or path in (here, step["node"]) or here.startswith((f"{path}.", f"{path}["))


def _json(content: JsonValue, status: HTTPStatus = HTTPStatus.OK) -> Response:
    # Made here, already in the contract's shape: validating it again would double its cost.
    return JSONResponse(content, status_code=status)
