"""`/v1/usage`."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.pagination import (
    Cursor,
    Limit,
    Page,
    make_page,
    read_offset_cursor,
)
from treadle.platform.routing import Transaction, api_router, needs
from treadle.platform.usage.repository import Part, UsageFilter, UsageRow, sum_usage

router = api_router(tags=["usage"])

USUAL = timedelta(days=30)


class UsageSum(BaseModel):
    """What was used; a part is null where sums are not told apart by it or nothing has it."""

    day: date | None
    agent: str | None
    template: str | None
    model: str | None
    runs: int
    steps: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float | None


@router.get("/v1/usage")
async def show(
    tx: Transaction,
    _: Annotated[Caller, needs(Scope.WORKSPACE_READ)],
    first: Annotated[
        date | None, Query(alias="from", description="First day, UTC; by default 30 days ago.")
    ] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day, UTC.")] = None,
    by: Annotated[
        list[Part] | None, Query(description="What sums are told apart by; by default all.")
    ] = None,
    agent: str | None = None,
    template: str | None = None,
    model: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[UsageSum]:
    """Sum up what the workspace's ended runs and answered model calls used, newest day first."""
    end = last or datetime.now(UTC).date()
    wanted = UsageFilter(first or end - USUAL, end, agent, template, model)
    parts = [part for part in Part if by is None or part in by]
    offset = read_offset_cursor(cursor)
    rows = await sum_usage(tx, wanted, by=parts, offset=offset, limit=limit + 1)
    return make_page(rows, limit=limit, show=_show, position=lambda _: offset + limit)


def _show(row: UsageRow) -> UsageSum:
    parts = {part.value: row.parts.get(part) or None for part in Part}
    return UsageSum.model_validate({**parts, **row.counts, "cost_usd": row.cost_usd})
