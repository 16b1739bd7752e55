"""From files to rows, from rows to inputs."""

import pytest
from tests.platform.batches.texts import SHOUT

from treadle.agents.language import declared_inputs, parse_template
from treadle.integrations.registry import all_tools
from treadle.platform.batches.errors import BatchInvalid
from treadle.platform.batches.rows import MOST_ROWS, Format, RowUnreadable, read_rows, row_inputs

DECLARED = declared_inputs(parse_template(SHOUT, tools=all_tools()).template)


def inputs(text: str, kind: Format = Format.CSV) -> list[object]:
    return [row_inputs(row, kind, DECLARED) for row in read_rows(text.encode(), kind, DECLARED)]


def test_cells_are_read_by_the_type_of_their_input() -> None:
    text = '\ufefftext,times,tags\r\n"a, ""b""",2,"[""x"",""y""]"\r\n12,,\r\n"two\nlines",3,[]\r\n'
    assert inputs(text) == [
        {"text": 'a, "b"', "times": 2, "tags": ["x", "y"]},
        {"text": "12"},
        {"text": "two\nlines", "times": 3, "tags": []},
    ]


def test_lines_are_objects() -> None:
    text = '{"text": "a", "times": 2}\n\n{"text": "b"}\n'
    assert inputs(text, Format.NDJSON) == [{"text": "a", "times": 2}, {"text": "b"}]


@pytest.mark.parametrize("line", ["[1]", "{no", '{"a": 1, "a": 2}', '"x"', "NaN"])
def test_a_line_that_is_no_object_is_unreadable(line: str) -> None:
    with pytest.raises(RowUnreadable, match="no JSON object"):
        inputs(line, Format.NDJSON)


@pytest.mark.parametrize("row", ["a,two,", "a,2,[", "a,1,[],more"])
def test_a_wrong_row_is_unreadable(row: str) -> None:
    with pytest.raises(RowUnreadable):
        inputs(f"text,times,tags\n{row}\n")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no rows"),
        (b"text\n", "no rows"),
        (b"text,color\na,b\n", "no input 'color'"),
        (b"text,text\na,b\n", "twice"),
        (b'text\n"open\n', "no CSV"),
        (b"text\n\xff\n", "UTF-8"),
        (b"text\n" + b"a\n" * (MOST_ROWS + 1), "at most"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(BatchInvalid, match=reason):
        read_rows(body, Format.CSV, DECLARED)
