"""`/v1/runs/{run}/retry`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import BackgroundTasks
from fastapi.responses import JSONResponse, Response
from pydantic import Field, JsonValue

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import parse_id
from treadle.platform.routing import Body, Transaction, Wired, api_router, needs
from treadle.platform.runs.repository import get_run
from treadle.platform.runs.retry import Retries, RetryOrder
from treadle.platform.runs.schemas import RunView

router = api_router(tags=["runs"])


class RetryBody(Body):
    """What the new run does again, and what it does otherwise."""

    from_: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        alias="from",
        description="A step, a map's item (`serp[17]`) or a node; default: what failed.",
    )
    inputs: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue],
        description="Values in place of the run's; only what no reused step has read.",
    )
    version: str | None = Field(
        default=None, description="Version or range of the template; default: the run's own."
    )
    set_: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue],
        alias="set",
        description="Outputs by path, in place of those of the run's steps.",
    )


@router.post("/v1/runs/{run}/retry", status_code=HTTPStatus.ACCEPTED, response_model=RunView)
async def retry(
    run: str,
    tx: Transaction,
    services: Wired,
    after: BackgroundTasks,
    caller: Annotated[Caller, needs(Scope.RUNS_WRITE)],
    body: RetryBody | None = None,
) -> Response:
    """Make a new run that takes over what this one finished and does the rest again."""
    body = body or RetryBody()
    order = RetryOrder(body.from_, body.inputs, body.version, body.set_)
    retries = Retries(services.launcher, services.templates)
    made = await retries.retry(tx, parse_id("run", run), order, created_by=caller.key_id)
    after.add_task(services.runs.ring, [made])
    shown = await services.runs.show(tx, await get_run(tx, made))
    return JSONResponse(shown, status_code=HTTPStatus.ACCEPTED, background=after)
