"""`file.table`: rows as CSV and XLSX, safe to open in a spreadsheet, the same bytes each time."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, JsonValue

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.files.artifact import FILE_NAME, Artifact
from treadle.integrations.files.workbook import Cell, to_xlsx

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_CSV, _XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class TableParams(Params):
    """Rows as objects; `columns` picks and orders the fields (default: all, as they appear)."""

    rows: tuple[Mapping[str, JsonValue], ...]
    columns: tuple[str, ...] = ()
    name: str = Field(default="table", pattern=FILE_NAME)
    formats: tuple[Literal["csv", "xlsx"], ...] = Field(default=("csv",), min_length=1)


class TableFiles(Result):
    """The stored files, in the order of `formats`, and how many rows they have."""

    artifacts: list[Artifact]
    rows: int


@tool("file.table", effect=Effect.READ, reads_untrusted=False)
async def write_table(ctx: ToolContext, params: TableParams) -> TableFiles:
    """Keep rows as a CSV or XLSX file of the run.

    Lists of plain values are joined with `; `, other nested values are JSON. Text that a
    spreadsheet would run as a formula gets an apostrophe before it.
    """
    columns = list(params.columns) or list(dict.fromkeys(key for row in params.rows for key in row))
    cells = [[cell(row.get(column)) for column in columns] for row in params.rows]
    artifacts: list[Artifact] = []
    for kind in dict.fromkeys(params.formats):
        content = to_csv(columns, cells) if kind == "csv" else to_xlsx(columns, cells)
        ref = await ctx.artifacts.put(
            f"{params.name}.{kind}", content, media_type=_CSV if kind == "csv" else _XLSX
        )
        artifacts.append(Artifact.of(ref))
    return TableFiles(artifacts=artifacts, rows=len(params.rows))


def cell(value: JsonValue) -> Cell:
    """A value as one cell; text is made harmless."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, list) and all(not isinstance(part, (list, dict)) for part in value):
        value = "; ".join("" if part is None else str(part) for part in value)
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return neutral(value)


def neutral(text: str) -> str:
    """Text that no spreadsheet takes for a formula (OWASP: CSV injection)."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def to_csv(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """RFC 4180 in UTF-8; null is empty."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([neutral(column) for column in columns])
    writer.writerows(rows)
    return buffer.getvalue().encode()
