"""Queries on workspaces."""

from sqlalchemy import func, select, text

from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.workspaces.models import workspaces


async def find_workspace(database: Database, name: str) -> WorkspaceId | None:
    """Look a workspace up by name, before any is known."""
    async with database.unbound() as connection:
        found = (await connection.execute(select(func.find_workspace(name)))).scalar_one()
    return None if found is None else WorkspaceId(found)


async def insert_workspace(
    connection: TenantConnection, workspace: WorkspaceId, *, name: str
) -> None:
    """Store the workspace that the transaction is bound to."""
    await connection.execute(workspaces.insert().values(id=workspace, name=name))


async def lock_creation(connection: TenantConnection) -> None:
    """Let one process at a time make workspaces and first keys, until the transaction's end."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(7287323534)"))
