"""`/v1/runs/{run}/pause`, `/resume` and `/steps/{step}/settle`."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi.responses import JSONResponse, Response
from pydantic import Field, JsonValue, model_validator
from starlette.background import BackgroundTask

from treadle.agents.steps.settling import SettleAs
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import parse_id
from treadle.platform.engine.ids import RunId
from treadle.platform.routing import Body, Transaction, Wired, api_router, needs
from treadle.platform.runs.repository import get_run
from treadle.platform.runs.schemas import RunView
from treadle.platform.runs.steering import (
    pause_run,
    raise_budget,
    resume_run,
    settle_step,
)
from treadle.platform.services import Services

router = api_router(tags=["runs"])

Writer = Annotated[Caller, needs(Scope.RUNS_WRITE)]


class Settlement(Body):
    """What a person says of a step whose effect may have happened; `output` goes with `done`."""

    as_: SettleAs = Field(alias="as")
    output: JsonValue = None

    @model_validator(mode="after")
    def _check(self) -> "Settlement":
        if self.as_ is not SettleAs.DONE and "output" in self.model_fields_set:
            raise ValueError("`output` goes with `as: done` only")
        return self


class Resumption(Body):
    """What is different from here on; what the budget leaves out stays."""

    budget: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


@router.post("/v1/runs/{run}/pause", status_code=HTTPStatus.ACCEPTED, response_model=RunView)
async def pause(run: str, tx: Transaction, services: Wired, _: Writer) -> Response:
    """Let running steps finish, then wait until somebody resumes the run."""
    run_id = parse_id("run", run)
    await pause_run(tx, run_id)
    return await _show(tx, services, run_id)


@router.post("/v1/runs/{run}/resume", status_code=HTTPStatus.ACCEPTED, response_model=RunView)
async def resume(
    run: str, tx: Transaction, services: Wired, _: Writer, body: Resumption | None = None
) -> Response:
    """Let a paused run go on, with a larger budget if that is what it waits for."""
    run_id = parse_id("run", run)
    if body is not None and body.budget:
        await raise_budget(tx, run_id, body.budget)
    await resume_run(tx, run_id)
    return await _show(tx, services, run_id)


@router.post(
    "/v1/runs/{run}/steps/{step}/settle",
    status_code=HTTPStatus.ACCEPTED,
    response_model=RunView,
)
async def settle(
    run: str, step: str, body: Settlement, tx: Transaction, services: Wired, caller: Writer
) -> Response:
    """Say whether the effect of an `unknown` step happened.

    Send an `Idempotency-Key`: a verdict that is sent again must not be taken for one on the next
    attempt, which may have become `unknown` meanwhile.
    """
    run_id = parse_id("run", run)
    await settle_step(
        tx,
        run_id,
        step,
        verdict=body.as_,
        output=body.output,
        by=caller.owner or f"key:{caller.key_id}",
    )
    return await _show(tx, services, run_id)


async def _show(tx: TenantConnection, services: Services, run: UUID) -> Response:
    shown = await services.runs.show(tx, await get_run(tx, run))

    async def signal() -> None:
        services.runs.signal([RunId(run)])

    # After the answer, and so after the commit: who hears it finds what was said.
    return JSONResponse(shown, status_code=HTTPStatus.ACCEPTED, background=BackgroundTask(signal))
