"""A worker's row: its beat, on the database's clock, is the lease of all its runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from psycopg.rows import class_row

from treadle.platform.engine import statements
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.errors import WorkerReplaced
from treadle.platform.engine.ids import RunId

BEAT_S = 3.0
DEAD_AFTER_S = 15.0


@dataclass(frozen=True, slots=True)
class _Live:
    live: int


@dataclass(frozen=True, slots=True)
class _Id:
    id: RunId


class Liveness:
    """This process as the other processes see it.

    Attributes:
        workers: How many lived at the last beat, this one among them.
    """

    def __init__(
        self,
        connection: EngineConnection,
        *,
        name: str,
        concurrency: int,
        dead_after_s: float = DEAD_AFTER_S,
    ) -> None:
        self._connection = connection
        self._concurrency = concurrency
        self._dead_after_s = dead_after_s
        self.workers = 1
        self.name = name
        self.incarnation: UUID = uuid4()

    async def register(self) -> None:
        """Take the name; a process that had it before notices at its next beat."""
        await self._connection.execute(
            statements.REGISTER, (self.name, self.incarnation, self._concurrency)
        )

    async def beat(self, epochs: Mapping[RunId, int]) -> list[RunId]:
        """Say that this process lives; returns those of its runs that it lost.

        Raises `WorkerReplaced` when the name belongs to another process.
        """
        beat = (self.name, self.incarnation, self._dead_after_s)
        beats = await self._connection.fetch(statements.BEAT, beat, row=class_row(_Live))
        if not beats:
            raise WorkerReplaced(self.name)
        self.workers = max(1, beats[0].live)
        if not epochs:
            return []
        lost = await self._connection.fetch(
            statements.LOST, (list(epochs), list(epochs.values())), row=class_row(_Id)
        )
        return [row.id for row in lost]

    async def unregister(self) -> None:
        """Leave; only after every run was handed over."""
        await self._connection.execute(statements.UNREGISTER, (self.name, self.incarnation))
