"""Connections of the engine: plain psycopg under the engine's role, opened again when they break.

They keep their role for their whole life, so behind a pooler they need session mode.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import LiteralString, TypeAlias, TypeVar

import psycopg
from psycopg.rows import BaseRowFactory, tuple_row

from treadle.platform.db.database import driver_url
from treadle.platform.db.rls import ENGINE_ROLE
from treadle.platform.engine.errors import CommitRefused, DatabaseAway
from treadle.platform.log import get_log

CONNECT_TIMEOUT_S = 5
_AGAIN_S = (0.05, 0.2, 0.5, 1.0)
# The statements join `runs` to a handful of ids. On a young table, without statistics, the planner
# would scan it, and keep that plan while it grows.
_SESSION = f"""
    SET ROLE {ENGINE_ROLE};
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_mergejoin = off;
    SET jit = off
"""

log = get_log(__name__)
T = TypeVar("T")
Parameters: TypeAlias = Sequence[object] | Mapping[str, object]


class EngineConnection:
    """One connection. Statements wait for each other; each is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self._url = driver_url(url).set(drivername="postgresql").render_as_string(False)
        self._connection: psycopg.AsyncConnection | None = None
        self._lock = asyncio.Lock()

    async def fetch(
        self,
        statement: LiteralString,
        parameters: Parameters = (),
        *,
        row: BaseRowFactory[T],
    ) -> list[T]:
        """Run one statement and return its rows.

        Raises:
            DatabaseAway: The connection broke, or the server could not do it now.
            CommitRefused: The statement itself is at fault.
        """
        async with self._lock:
            try:
                connection = await self._open()
                async with connection.cursor(row_factory=row) as cursor:
                    await cursor.execute(statement, parameters, prepare=True)
                    return await cursor.fetchall() if cursor.description else []
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                await self._drop()
                raise DatabaseAway(str(error)) from error
            except psycopg.Error as error:
                raise CommitRefused(str(error)) from error

    async def fetch_surely(
        self,
        statement: LiteralString,
        parameters: Parameters = (),
        *,
        row: BaseRowFactory[T],
    ) -> list[T]:
        """`fetch` until the database answers, for what does no harm when it is done twice."""
        pauses = itertools.chain(_AGAIN_S, itertools.repeat(_AGAIN_S[-1]))
        while True:
            try:
                return await self.fetch(statement, parameters, row=row)
            except DatabaseAway as away:
                log.warning("database.away", reason=str(away))
                await asyncio.sleep(next(pauses))

    async def execute(self, statement: LiteralString, parameters: Parameters = ()) -> None:
        """Run one statement that returns nothing; raises as `fetch` does."""
        await self.fetch(statement, parameters, row=tuple_row)

    async def close(self) -> None:
        """Close it; a later statement opens it again."""
        async with self._lock:
            await self._drop()

    async def _open(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
            )
            await self._connection.execute(_SESSION)
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
