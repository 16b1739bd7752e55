"""Queries about limits; those of the transaction's workspace."""

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from treadle.platform.db.database import TenantConnection
from treadle.platform.limits.models import limits

WHOLE = ""
"""Stands for the workspace where a template's name would stand."""


async def get_limits(tx: TenantConnection) -> dict[str, int]:
    """Runs at a time by template; the workspace's own under `WHOLE`."""
    rows = await tx.execute(select(limits.c.template, limits.c.runs).order_by(limits.c.template))
    return {row.template: row.runs for row in rows}


async def put_limits(tx: TenantConnection, runs: Mapping[str, int]) -> None:
    """Replace all of them."""
    await tx.execute(delete(limits))
    if runs:
        rows = [{"template": template, "runs": most} for template, most in runs.items()]
        await tx.execute(insert(limits), rows)
