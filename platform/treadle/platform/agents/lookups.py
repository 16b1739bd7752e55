"""Agents for runs that begin: looked up for many requests with one statement.

Nothing is remembered: each request is answered from a statement that began after it came. While one
is under way the next gathers.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from treadle.platform.agents.repository import AgentRecord
from treadle.platform.db.database import driver_url
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.db.rls import APP_ROLE
from treadle.platform.engine.connections import CONNECT_TIMEOUT_S
from treadle.platform.engine.errors import DatabaseAway
from treadle.platform.errors import NotFound
from treadle.platform.loops import keep_going

_SELECT: LiteralString = """
SELECT id, name, template, version, origin, sha256, settings, connections, triggers, created_at,
    updated_at, owner
FROM agents WHERE """
_BY_ID: LiteralString = _SELECT + "id = ANY(%s)"
_BY_NAME: LiteralString = _SELECT + "name = ANY(%s)"
_SESSION: LiteralString = f"SET ROLE {APP_ROLE}; SET jit = off"
_BIND: LiteralString = "SELECT set_config('app.ws', %s, false)"


@dataclass(frozen=True, slots=True)
class _Wanted:
    workspace: WorkspaceId
    agent: str
    found: asyncio.Future[AgentRecord]


class AgentLookups:
    """One connection under the role of requests, bound to a workspace before it is asked.

    It keeps its role and its workspace between statements, so behind a pooler it needs session
    mode. Nobody else may use it.
    """

    def __init__(self, url: str) -> None:
        self._url = driver_url(url).set(drivername="postgresql").render_as_string(False)
        self._connection: psycopg.AsyncConnection | None = None
        self._bound: WorkspaceId | None = None
        self._wanted: list[_Wanted] = []
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer, on the running loop."""
        self._task = keep_going(self._work, name="agent-lookups")

    async def stop(self) -> None:
        """Stop; who still waits gets no answer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._drop()

    async def find(self, workspace: WorkspaceId, agent: str) -> AgentRecord:
        """An agent by id or name; raises `NotFound`, or `DatabaseAway`."""
        found: asyncio.Future[AgentRecord] = asyncio.get_running_loop().create_future()
        self._wanted.append(_Wanted(workspace, agent, found))
        self._due.set()
        return await found

    async def _work(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            wanted, self._wanted = self._wanted, []
            by_workspace: defaultdict[WorkspaceId, list[_Wanted]] = defaultdict(list)
            for one in wanted:
                by_workspace[one.workspace].append(one)
            for workspace, ours in by_workspace.items():
                await self._answer(workspace, ours)

    async def _answer(self, workspace: WorkspaceId, wanted: Sequence[_Wanted]) -> None:
        try:
            found = await self._look_up(workspace, {one.agent for one in wanted})
        except Exception as error:  # noqa: BLE001 - also a fault of ours: nobody waits for ever
            await self._drop()
            is_away = isinstance(error, psycopg.Error | OSError)
            for one in wanted:
                _fail(one, DatabaseAway(str(error)) if is_away else error)
            return
        for one in wanted:
            record = found.get(one.agent)
            if record is None:
                _fail(one, NotFound("agent", one.agent))
            elif not one.found.done():
                one.found.set_result(record)

    async def _look_up(self, workspace: WorkspaceId, agents: set[str]) -> dict[str, AgentRecord]:
        connection = await self._open(workspace)
        ids = {name: id_ for name in agents if (id_ := _read_id(name)) is not None}
        names = [name for name in agents if name not in ids]
        found: dict[str, AgentRecord] = {}
        async with connection.cursor(row_factory=class_row(AgentRecord)) as cursor:
            if names:
                await cursor.execute(_BY_NAME, (names,), prepare=True)
                found |= {record.name: record for record in await cursor.fetchall()}
            if ids:
                await cursor.execute(_BY_ID, (list(ids.values()),), prepare=True)
                by_id = {record.id: record for record in await cursor.fetchall()}
                found |= {name: by_id[one] for name, one in ids.items() if one in by_id}
        return found

    async def _open(self, workspace: WorkspaceId) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._bound = None
            self._connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
            )
            await self._connection.execute(_SESSION)
        if self._bound != workspace:
            await self._connection.execute(_BIND, (str(workspace),), prepare=True)
            self._bound = workspace
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection, self._bound = self._connection, None, None
        if connection is not None:
            await connection.close()


def _fail(wanted: _Wanted, error: Exception) -> None:
    if not wanted.found.done():
        wanted.found.set_exception(error)


def _read_id(agent: str) -> UUID | None:
    try:
        return UUID(agent)
    except ValueError:
        return None
