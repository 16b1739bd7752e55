"""From a CSV or JSON-lines file to rows, and from a row to an agent's inputs.

Cells are read by the type that the input declares: text stays text, everything else is JSON.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum

from starlette.exceptions import HTTPException

from treadle.agents.nodes.inputs import Input
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.batches.errors import BatchInvalid
from treadle.platform.problems import similar_name
from treadle.platform.routing import read_json

MOST_ROWS = 10_000
UNREAD = "line"
"""The one key of a row that is no JSON object."""


class Format(StrEnum):
    """How a batch is written."""

    CSV = "csv"
    NDJSON = "ndjson"


MEDIA_TYPES = {
    "text/csv": Format.CSV,
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
}


class RowUnreadable(Exception):
    """A row that gives no inputs; recorded with the batch."""


def read_rows(body: bytes, kind: Format, declared: Mapping[str, Input]) -> list[JsonObject]:
    """The rows of a file as they are written; raises `BatchInvalid`."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BatchInvalid("the file is not UTF-8") from None
    found = _csv_rows(text, declared) if kind is Format.CSV else _lines(text)
    rows: list[JsonObject] = []
    for row in found:
        if len(rows) == MOST_ROWS:
            raise BatchInvalid(f"a batch has at most {MOST_ROWS} rows; send it in parts")
        rows.append(row)
    if not rows:
        raise BatchInvalid("the file has no rows")
    return rows


def row_inputs(row: JsonObject, kind: Format, declared: Mapping[str, Input]) -> JsonObject:
    """The inputs that a row gives; raises `RowUnreadable`."""
    if kind is Format.NDJSON:
        if row.keys() == {UNREAD} and UNREAD not in declared:
            raise RowUnreadable("this line is no JSON object")
        return row
    if "" in row:
        raise RowUnreadable("this row has more cells than the header has columns")
    return {
        name: _read_cell(name, cell, declared[name])
        for name, cell in row.items()
        if isinstance(cell, str) and not _is_absent(cell, declared[name])
    }


def _csv_rows(text: str, declared: Mapping[str, Input]) -> Iterator[JsonObject]:
    # An empty name takes the cells beyond the header: no input has it.
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        _check_header(list(reader.fieldnames or []), declared)
        for row in reader:
            yield {name: cell for name, cell in row.items() if cell is not None}
    except csv.Error as error:
        raise BatchInvalid(f"line {reader.line_num} is no CSV: {error}") from None


def _check_header(names: list[str], declared: Mapping[str, Input]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BatchInvalid(f"column {name!r} stands twice in the header", path=name)
        if name not in declared:
            message = f"the agent has no input {name[:80]!r}: the header names inputs"
            raise BatchInvalid(message, path=name, hint=similar_name(name, list(declared)))


def _lines(text: str) -> Iterator[JsonObject]:
    for line in text.split("\n"):
        if line.strip():
            yield _read_line(line)


def _read_line(line: str) -> JsonObject:
    try:
        read_json(line.encode())
    except HTTPException:
        return {UNREAD: line.replace("\0", "\ufffd")}
    value: JsonValue = json.loads(line)
    return value if isinstance(value, dict) else {UNREAD: line}


def _is_absent(cell: str, one: Input) -> bool:
    return not cell and (not one.is_required or not _takes_text(one))


def _takes_text(one: Input) -> bool:
    kinds = one.schema.get("type")
    return kinds == "string" or (isinstance(kinds, list) and "string" in kinds)


def _read_cell(name: str, cell: str, one: Input) -> JsonValue:
    if _takes_text(one):
        return cell
    try:
        read_json(cell.encode())
    except HTTPException:
        if "type" not in one.schema:
            return cell  # an enum or a reference: text may fit
        raise RowUnreadable(
            f"inputs.{name}: {cell[:80]!r} is no JSON; plain text is for inputs of type string"
        ) from None
    value: JsonValue = json.loads(cell)
    return value
