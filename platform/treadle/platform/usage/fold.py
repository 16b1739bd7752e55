"""Folding entries into days."""

from dataclasses import dataclass

from psycopg.rows import class_row

from treadle.platform.engine.connections import EngineConnection
from treadle.platform.usage.statements import FOLD

MOST_ENTRIES = 5000


@dataclass(frozen=True, slots=True)
class _Folded:
    entries: int


async def fold_usage(connection: EngineConnection) -> int:
    """Move all entries there are into days; returns how many. Raises `DatabaseAway`."""
    total = 0
    while True:
        (folded,) = await connection.fetch(FOLD, (MOST_ENTRIES,), row=class_row(_Folded))
        total += folded.entries
        if folded.entries < MOST_ENTRIES:
            return total
