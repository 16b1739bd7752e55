"""A batch's results as a file: each row as it was sent, with what became of it."""

import csv
import io
import json
from collections.abc import AsyncGenerator
from uuid import UUID

from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.batches.repository import BatchRow, list_rows
from treadle.platform.batches.rows import Format
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId

PAGE = 500
_OWN = ("run", "status", "error")


async def stream_results(
    database: Database,
    workspace: WorkspaceId,
    batch: UUID,
    kind: Format,
    *,
    outputs: tuple[str, ...],
) -> AsyncGenerator[bytes, None]:
    """Yield the file, page by page; `outputs` are the agent's, each a column of a CSV."""
    after, writer = -1, CsvWriter(outputs)
    while True:
        async with database.tenant(workspace) as tx:
            rows = await list_rows(tx, batch, after=after, limit=PAGE)
        if not rows:
            return
        after = rows[-1].number
        yield (writer.write(rows) if kind is Format.CSV else _lines(rows)).encode()


class CsvWriter:
    """Writes rows as CSV; the header comes of the first page.

    An output whose name the row has already, or one of our own columns, is `outputs.<name>`.
    """

    def __init__(self, outputs: tuple[str, ...]) -> None:
        self._outputs = outputs
        self._columns: list[str] | None = None

    def write(self, rows: list[BatchRow]) -> str:
        """The next rows, after the header if they are the first."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        if self._columns is None:
            self._columns = list({name: None for row in rows for name in row.row})
            taken = {*self._columns, *_OWN}
            named = [f"outputs.{name}" if name in taken else name for name in self._outputs]
            writer.writerow([*self._columns, *_OWN, *named])
        for row in rows:
            writer.writerow(self._cells(row, self._columns))
        return text.getvalue()

    def _cells(self, row: BatchRow, columns: list[str]) -> list[str]:
        outputs = row.outputs or {}
        return [
            *(_cell(row.row.get(name)) for name in columns),
            *(_cell(value) for value in _own(row).values()),
            *(_cell(outputs.get(name)) for name in self._outputs),
        ]


def _lines(rows: list[BatchRow]) -> str:
    shown = ({**row.row, **_own(row), "outputs": row.outputs} for row in rows)
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in shown)


def _own(row: BatchRow) -> JsonObject:
    error = row.error
    if error is None and row.run_error is not None:
        error = str(row.run_error.get("message"))
    run = None if row.run_id is None else str(row.run_id)
    return {"run": run, "status": row.shown_status, "error": error}


def _cell(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
