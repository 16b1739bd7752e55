"""`/v1/limits`."""

from typing import Annotated

from pydantic import BaseModel, Field

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.limits.repository import WHOLE, get_limits, put_limits
from treadle.platform.routing import Body, Transaction, api_router, needs

router = api_router(tags=["limits"])

MOST_TEMPLATES = 1000

Runs = Annotated[int, Field(ge=1, le=100_000)]
Template = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]


class LimitsBody(Body):
    """How many runs may be at work at a time; what is absent is not limited."""

    runs: Runs | None = Field(default=None, description="Of the workspace; null: any number.")
    templates: dict[Template, Runs] = Field(
        default_factory=dict, max_length=MOST_TEMPLATES, description="Of single templates, by name."
    )


class LimitsView(BaseModel):
    """The limits of the workspace."""

    runs: int | None
    templates: dict[str, int]


@router.get("/v1/limits")
async def show(tx: Transaction, _: Annotated[Caller, needs(Scope.WORKSPACE_READ)]) -> LimitsView:
    """Show how many runs may be at work at a time. Others wait, `queued`; waiting runs are free."""
    return _view(await get_limits(tx))


@router.put("/v1/limits")
async def replace(
    body: LimitsBody, tx: Transaction, _: Annotated[Caller, needs(Scope.WORKSPACE_WRITE)]
) -> LimitsView:
    """Replace the limits; workers keep to them within some seconds. No run is stopped for it."""
    whole = {} if body.runs is None else {WHOLE: body.runs}
    await put_limits(tx, {**whole, **body.templates})
    return _view(await get_limits(tx))


def _view(runs: dict[str, int]) -> LimitsView:
    templates = {name: most for name, most in runs.items() if name != WHOLE}
    return LimitsView(runs=runs.get(WHOLE), templates=templates)
