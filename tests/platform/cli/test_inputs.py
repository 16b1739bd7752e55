from pathlib import Path

import pytest
import typer
from pydantic import JsonValue

from treadle.platform.cli.inputs import parse_inputs

SCHEMAS: dict[str, dict[str, JsonValue]] = {
    "name": {"type": "string"},
    "seeds": {"type": "array", "items": {"type": "string"}},
    "counts": {"type": "array", "items": {"type": "integer"}},
    "limit": {"type": "integer"},
    "review": {"type": "boolean"},
    "either": {"type": ["string", "integer"]},
    "doc": {"type": "string", "format": "file"},
    "free": {},
}


def parse(*pairs: str) -> dict[str, JsonValue]:
    return parse_inputs(pairs, SCHEMAS, upload=lambda path: f"file:{path.name}")


def test_text_stays_text() -> None:
    assert parse("name=12", "free=a=b") == {"name": "12", "free": "a=b"}


def test_other_types_are_json() -> None:
    assert parse("limit=3", "review=true", "either=3") == {"limit": 3, "review": True, "either": 3}


def test_a_list_is_json_or_commas_or_repeated() -> None:
    assert parse("seeds=a b, c") == {"seeds": ["a b", "c"]}
    assert parse('seeds=["a,b"]') == {"seeds": ["a,b"]}
    assert parse("seeds=a", "seeds=b") == {"seeds": ["a", "b"]}
    assert parse("counts=1,2") == {"counts": [1, 2]}


def test_a_file_is_uploaded_and_an_id_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "brief.pdf"
    path.write_bytes(b"x")
    assert parse(f"doc={path}") == {"doc": "file:brief.pdf"}
    assert parse("doc=018f") == {"doc": "018f"}


@pytest.mark.parametrize("pair", ["limit=x", "counts=a", "name", "=x"])
def test_what_does_not_fit_is_named(pair: str) -> None:
    with pytest.raises(typer.BadParameter, match=pair.partition("=")[2] or pair):
        parse(pair)
