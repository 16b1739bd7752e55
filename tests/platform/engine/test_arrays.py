"""Arrays are read by PostgreSQL as what they were written from."""

from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID

import pytest
from tests.platform.engine.conftest import Engine

from treadle.platform.engine.arrays import Element, array

pytestmark = pytest.mark.slow
AT = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("text", ["", "a", 'quote "x"', "back\\slash", "{a,b}"]),
        ("text", [" NULL ", "NULL", "\n\t", "ß日\U0001f600"]),
        ("text", ['{"a":"\\u0000 \\\\ \\"x\\""}', None]),
        ("json", ['{"a": [1, "\\"", "\\\\"]}', None]),
        ("int", [0, -7, 2_000_000_000, None]),
        ("bool", [True, False, None]),
        ("uuid", [UUID(int=7), None]),
        ("timestamptz", [AT, None]),
        ("bytea", [b"", b"\x00\\\"{},", None]),
        ("text", []),
    ],
)  # fmt: skip
async def test_what_is_written_is_what_is_read(
    engine: Engine, kind: LiteralString, elements: list[Element]
) -> None:
    statement: LiteralString = f"SELECT x FROM unnest(%s::{kind}[]) AS x"  # noqa: S608 - literals
    got = await engine.sql(statement, array(elements))
    wanted = [{"a": [1, '"', "\\"]}, None] if kind == "json" else elements
    assert [value for (value,) in got] == wanted
