"""Tables and texts as files."""

import csv
import io
import zipfile

import pytest
from pydantic import JsonValue
from tests.doubles.tool_context import NoContext, call_tool

from treadle.integrations.files.markdown import write_markdown
from treadle.integrations.files.table import TableParams, cell, write_table

ROWS: tuple[dict[str, JsonValue], ...] = (
    {"keyword": "crm, cheap", "score": -1.5, "urls": ["a", "b"], "parts": {"x": 1}},
    {"keyword": 'say "hi"\nthere', "known": None, "score": 2},
)


async def written(*rows: dict[str, JsonValue], **more: object) -> dict[str, bytes]:
    context = NoContext()
    result = await call_tool(write_table, context, {"rows": rows, **more})
    assert [artifact.name for artifact in result.artifacts] == list(context.memory.files)
    assert result.rows == len(rows)
    return context.memory.files


def read_csv(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


async def test_a_table_is_csv_with_lists_joined_and_objects_as_json() -> None:
    files = await written(*ROWS, name="keywords")
    assert read_csv(files["keywords.csv"]) == [
        ["keyword", "score", "urls", "parts", "known"],
        ["crm, cheap", "-1.5", "a; b", '{"x":1}', ""],
        ['say "hi"\nthere', "2", "", "", ""],
    ]


async def test_columns_pick_and_order() -> None:
    files = await written(*ROWS, columns=["score", "keyword"])
    assert read_csv(files["table.csv"])[1] == ["-1.5", "crm, cheap"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1"])
def test_text_that_a_spreadsheet_would_run_is_made_harmless(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_numbers_stay_numbers() -> None:
    assert cell(-3) == -3
    assert cell(True) is True


async def test_equal_rows_give_equal_files() -> None:
    formats = ["csv", "xlsx"]
    assert await written(*ROWS, formats=formats) == await written(*ROWS, formats=formats)


async def test_xlsx_holds_no_formula() -> None:
    files = await written({"a": "=cmd|'/c calc'!A1", "b": 1.5}, formats=["xlsx"])
    with zipfile.ZipFile(io.BytesIO(files["table.xlsx"])) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")
        assert b"'=cmd" in book.read("xl/sharedStrings.xml")


async def test_no_rows_make_an_empty_table() -> None:
    assert read_csv((await written())["table.csv"]) == [[]]


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", ""])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        TableParams(rows=(), name=name)


async def test_markdown_is_kept_as_it_is_with_a_final_newline() -> None:
    context = NoContext()
    result = await call_tool(write_markdown, context, {"text": "# Plan", "name": "plan"})
    assert context.memory.files == {"plan.md": b"# Plan\n"}
    assert result.artifact.media_type == "text/markdown"
