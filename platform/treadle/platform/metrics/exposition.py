"""`/metrics` of the whole installation."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import REGISTRY
from psycopg.rows import class_row

from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.errors import CommitRefused, DatabaseAway
from treadle.platform.metrics.publisher import PUBLISH_S
from treadle.platform.metrics.snapshot import Family, read_snapshot, render, take_snapshot
from treadle.platform.metrics.statements import DEPTH, PUBLISHED

SILENT_S = 6 * PUBLISH_S
ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class _Published:
    process: str
    content: str


@dataclass(frozen=True, slots=True)
class _Depth:
    status: str
    runs: int


class Exposition:
    """Puts together what all processes published and what this one counts now."""

    def __init__(self, connection: EngineConnection, process: str) -> None:
        self._connection = connection
        self._process = process

    async def text(self) -> str:
        """The text format. Without the database: this process alone."""
        processes: dict[str, list[Family]] = {self._process: take_snapshot(REGISTRY)}
        try:
            async with asyncio.timeout(ANSWER_S):
                processes |= await self._others()
        except (DatabaseAway, CommitRefused, TimeoutError):
            processes[""] = [_up(0)]
        return render(processes)

    async def _others(self) -> Mapping[str, list[Family]]:
        rows = await self._connection.fetch(PUBLISHED, (SILENT_S,), row=class_row(_Published))
        depth = await self._connection.fetch(DEPTH, row=class_row(_Depth))
        found = {
            row.process: read_snapshot(row.content) for row in rows if row.process != self._process
        }
        return {**found, "": [_up(1), _depth(depth)]}


def _up(value: int) -> Family:
    name = "treadle_database_up"
    return Family(name, "gauge", "Whether the database answers.", [(name, {}, value)])


def _depth(rows: list[_Depth]) -> Family:
    samples = [("treadle_runs_unfinished", {"status": row.status}, float(row.runs)) for row in rows]
    return Family("treadle_runs_unfinished", "gauge", "Runs that have not ended.", samples)
