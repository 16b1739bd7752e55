"""Transactions: each is opened here, under the role and workspace it may act for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NewType

from sqlalchemy import make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from treadle.platform.db.ids import WorkspaceId
from treadle.platform.db.rls import APP_ROLE, ENGINE_ROLE

TenantConnection = NewType("TenantConnection", AsyncConnection)
"""A transaction bound to a workspace. Repositories take nothing else: the owner is never missing,
and row-level security adds `workspace_id = …` to every query."""

_BIND = text("SELECT set_config('role', :role, true), set_config('app.ws', :workspace, true)")


_NOTICES_SILENCE = {
    # A host that vanished answers nothing: without these a statement would wait for hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # ms; counts where something was sent and not acknowledged
}
"""Parameters of libpq. Sockets of the same machine ignore them."""


def driver_url(url: str) -> URL:
    """Accept `postgres://` and `postgresql://` alike, name our driver, and give up on dead hosts.

    What the URL itself says of that has precedence.
    """
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    asked = make_url(url)
    parameters = _NOTICES_SILENCE | dict(asked.query)
    return asked.set(drivername="postgresql+psycopg", query=parameters)


class Database:
    """A pool of connections. A transaction commits when its block ends well, else rolls back.

    Those of `pool_size` are kept once they were needed: opening one costs more than its work.
    """

    def __init__(self, url: str, *, pool_size: int = 20, max_overflow: int = 10) -> None:
        self.engine: AsyncEngine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=max_overflow,
            hide_parameters=True,  # values are tenants'; errors are logged
        )

    @asynccontextmanager
    async def tenant(self, workspace: WorkspaceId) -> AsyncGenerator[TenantConnection, None]:
        """Act for a workspace: row-level security shows and takes its rows only."""
        async with self._begin(APP_ROLE, str(workspace)) as connection:
            yield TenantConnection(connection)

    @asynccontextmanager
    async def unbound(self) -> AsyncGenerator[AsyncConnection, None]:
        """Act for nobody yet: no row is visible, only the look-up functions answer."""
        async with self._begin(APP_ROLE, "") as connection:
            yield connection

    @asynccontextmanager
    async def as_engine(self) -> AsyncGenerator[AsyncConnection, None]:
        """Act for the engine: the rows of all workspaces, in the engine's own tables only."""
        async with self._begin(ENGINE_ROLE, "") as connection:
            yield connection

    async def bind(self, connection: AsyncConnection, workspace: WorkspaceId) -> TenantConnection:
        """Act for a workspace from here on: for what the engine has locked in this transaction."""
        await connection.execute(_BIND, {"role": APP_ROLE, "workspace": str(workspace)})
        return TenantConnection(connection)

    @asynccontextmanager
    async def as_owner(self) -> AsyncGenerator[AsyncConnection, None]:
        """Act as the user who owns the tables, for changes of the tables themselves."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def _begin(self, role: str, workspace: str) -> AsyncGenerator[AsyncConnection, None]:
        # Both settings are local to the transaction: nothing leaks to the next user of the pool.
        async with self.engine.begin() as connection:
            await connection.execute(_BIND, {"role": role, "workspace": workspace})
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
