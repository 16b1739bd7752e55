"""The real ASGI app on real PostgreSQL, and workspaces to call it from."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from treadle.platform.app import create_app
from treadle.platform.auth.scopes import ALL_SCOPES, Scope
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.settings import Settings
from treadle.platform.workspaces.repository import find_workspace
from treadle.platform.workspaces.service import create_workspace_key

Connect = Callable[[str | None], httpx.AsyncClient]


@dataclass(frozen=True)
class Tenant:
    """A workspace of its own, and a client that holds a key of it."""

    workspace: str
    id: WorkspaceId
    key: str
    client: httpx.AsyncClient


class NewTenant(Protocol):
    def __call__(
        self, *, scopes: frozenset[Scope] = ALL_SCOPES, workspace: str | None = None
    ) -> Awaitable[Tenant]: ...


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path, database_url=database_url, secret_key=SecretStr("secret of the tests")
    )


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def connect(app: FastAPI) -> AsyncIterator[Connect]:
    """Make clients of the app: with a key, or with none."""
    clients: list[httpx.AsyncClient] = []

    def make(key: str | None) -> httpx.AsyncClient:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://treadle.test", headers=headers
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def anonymous(connect: Connect) -> httpx.AsyncClient:
    """A client without a key."""
    return connect(None)


@pytest.fixture
def new_tenant(settings: Settings, database: Database, connect: Connect) -> NewTenant:
    """Make a workspace, or another key of one."""

    async def make(
        *, scopes: frozenset[Scope] = ALL_SCOPES, workspace: str | None = None
    ) -> Tenant:
        name = workspace or f"test-{new_id()}"
        key = await create_workspace_key(database, settings, workspace=name, scopes=scopes)
        found = await find_workspace(database, name)
        assert found is not None
        return Tenant(name, found, key, connect(key))

    return make


@pytest.fixture
async def tenant(new_tenant: NewTenant) -> Tenant:
    """A workspace with a key that may do everything."""
    return await new_tenant()


@pytest.fixture
def client(tenant: Tenant) -> httpx.AsyncClient:
    """The client of `tenant`."""
    return tenant.client
