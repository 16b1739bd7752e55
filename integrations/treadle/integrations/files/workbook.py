"""Rows as an XLSX file, the same bytes each time."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from xlsxwriter import Workbook  # type: ignore[import-untyped]  # ships no type marker

Cell = str | int | float | bool | None
_MADE = datetime(2000, 1, 1, tzinfo=UTC)  # a fixed date: equal rows give equal files
_MAX_TEXT = 32_767  # characters in a cell, the format's own limit
_WIDTH = 18  # characters; most cells can be read without dragging


class _Format(Protocol): ...


class _Sheet(Protocol):
    """What we use of a worksheet; its methods are decorated and take positions only."""

    def write_string(self, *cell: int | str | _Format) -> object: ...
    def write_number(self, *cell: int | float) -> object: ...
    def write_boolean(self, *cell: int | bool) -> object: ...
    def freeze_panes(self, row: int, column: int, /) -> object: ...
    def autofilter(self, *area: int) -> object: ...
    def set_column(self, *columns: int) -> object: ...


class _Book(Protocol):
    """What we use of a workbook."""

    def set_properties(self, properties: dict[str, datetime], /) -> None: ...
    def add_worksheet(self, name: str) -> _Sheet: ...
    def add_format(self, properties: dict[str, bool]) -> _Format: ...
    def close(self) -> None: ...


def to_xlsx(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """One sheet with a frozen, filterable head row; text is always written as text."""
    buffer = io.BytesIO()
    # Its methods are decorated without types.
    book: _Book = Workbook(buffer, {"in_memory": True})  # pyright: ignore[reportAssignmentType]
    book.set_properties({"created": _MADE})
    sheet = book.add_worksheet("Table")
    bold = book.add_format({"bold": True})
    for column, name in enumerate(columns):
        sheet.write_string(0, column, name, bold)
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(row):
            _write(sheet, number, column, value)
    sheet.freeze_panes(1, 1)
    if columns:
        sheet.autofilter(0, 0, len(rows), len(columns) - 1)
        sheet.set_column(0, len(columns) - 1, _WIDTH)
    book.close()
    return buffer.getvalue()


def _write(sheet: _Sheet, row: int, column: int, value: Cell) -> None:
    """One cell by its type; an unknown value leaves it empty."""
    match value:
        case bool():
            sheet.write_boolean(row, column, value)
        case int() | float():
            sheet.write_number(row, column, value)
        case str():
            sheet.write_string(row, column, value[:_MAX_TEXT])
        case None:
            pass
