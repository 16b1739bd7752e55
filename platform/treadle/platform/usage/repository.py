"""Queries on usage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sqlalchemy import ColumnElement, Date, cast, func, select, union_all

from treadle.platform.db.database import TenantConnection
from treadle.platform.usage.models import usage_daily, usage_entries

COUNTS = ("runs", "steps", "model_calls", "input_tokens", "output_tokens", "cached_tokens")


class Part(StrEnum):
    """What usage can be told apart by."""

    DAY = "day"
    AGENT = "agent"
    TEMPLATE = "template"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which usage is summed; both days included."""

    first: date
    last: date
    agent: str | None = None
    template: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Sums over everything that shares these parts; `None` for a part that is not told apart."""

    parts: dict[Part, object]
    counts: dict[str, int]
    cost_usd: float | None


async def sum_usage(
    tx: TenantConnection, wanted: UsageFilter, *, by: Sequence[Part], offset: int, limit: int
) -> list[UsageRow]:
    """Usage of the workspace, folded or not, newest days first."""
    day: ColumnElement[date] = cast(func.timezone("UTC", usage_entries.c.at), Date)
    names = [Part.AGENT.value, Part.TEMPLATE.value, Part.MODEL.value, *COUNTS, "cost_usd"]
    folded = select(usage_daily.c.day, *(usage_daily.c[name] for name in names))
    fresh = select(day.label("day"), *(usage_entries.c[name] for name in names))
    both = union_all(folded, fresh).subquery()
    told = [both.c[part.value] for part in by]
    query = select(
        *told,
        *(func.sum(both.c[name]).label(name) for name in COUNTS),
        func.sum(both.c.cost_usd).label("cost_usd"),
    ).where(both.c.day.between(wanted.first, wanted.last))
    for part in (Part.AGENT, Part.TEMPLATE, Part.MODEL):
        value = getattr(wanted, part.value)
        if value is not None:
            query = query.where(both.c[part.value] == value)
    order = [both.c.day.desc() if part is Part.DAY else both.c[part.value] for part in by]
    query = query.group_by(*told).order_by(*order).offset(offset).limit(limit)
    return [
        UsageRow(
            parts={part: row[part.value] for part in by},
            counts={name: int(row[name] or 0) for name in COUNTS},
            cost_usd=row["cost_usd"],
        )
        for row in (await tx.execute(query)).mappings()
    ]
