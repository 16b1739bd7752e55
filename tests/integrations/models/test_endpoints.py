"""models.yaml: what it may say, what it may not, and which endpoint an alias means."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models.endpoints import EndpointTable, load_endpoints
from treadle.integrations.models.errors import BadModelsFile

GOOD = """
fast:
  url: https://api.example.com/v1/
  key: sk-1
  model: chat-small
  price: {input: 0.27, cached: 0.07, output: 1.1}
  limits: {concurrency: 16, max_tokens: 8192}
  fallback: local
local: {url: "http://127.0.0.1:8000/v1"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "models.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_in_order(tmp_path: Path) -> None:
    table = load_endpoints(written(tmp_path, GOOD))
    alias, fast = table.resolve("fast")
    assert (alias, fast.url, fast.model) == ("fast", "https://api.example.com/v1", "chat-small")
    assert fast.price is not None
    assert fast.price.cached == 0.07
    assert [alias for alias, _ in table.chain("fast")] == ["fast", "local"]
    assert "sk-1" not in repr(table)


def test_deepseek_v3_is_the_first_endpoint_if_none_has_the_name(tmp_path: Path) -> None:
    table = load_endpoints(written(tmp_path, GOOD))
    assert table.resolve("deepseek-v3")[0] == "fast"
    assert table.resolve(None)[0] == "fast"


def test_deepseek_v3_is_itself_where_it_is_named(tmp_path: Path) -> None:
    table = load_endpoints(written(tmp_path, GOOD + "deepseek-v3: {url: 'http://x/v1'}\n"))
    assert table.resolve("deepseek-v3")[0] == "deepseek-v3"
    assert table.resolve(None)[0] == "deepseek-v3"


def test_the_url_of_the_settings_comes_first_and_needs_no_file(tmp_path: Path) -> None:
    table = load_endpoints(
        written(tmp_path, GOOD), url="http://127.0.0.1:9000/v1", key=SecretStr("k"), name="qwen"
    )
    assert table.resolve("deepseek-v3")[0] == "qwen"
    assert table.resolve("qwen")[1].model == "qwen"
    alone = load_endpoints(tmp_path / "absent.yaml", url="http://127.0.0.1:9000/v1")
    assert alone.resolve("deepseek-v3")[0] == "deepseek-v3"


def test_an_unknown_alias_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="fast, local") as caught:
        load_endpoints(written(tmp_path, GOOD)).resolve("gpt")
    assert (caught.value.error_class, caught.value.code) == (
        ErrorClass.INVALID_INPUT,
        "unknown_model",
    )


def test_no_file_and_no_url_is_an_empty_table(tmp_path: Path) -> None:
    assert load_endpoints(tmp_path / "models.yaml") == EndpointTable({})
    assert load_endpoints(written(tmp_path, "# nothing yet\n")) == EndpointTable({})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: {url: 'http://x/v1', modle: m}", "a.modle: unknown key; did you mean 'model'?"),
        ("a: {model: m}", "a.url: Field required"),
        ("a: {url: x/v1}", "a.url: Value error, must begin with http://"),
        ("a: {url: 'http://x', price: {input: -1, output: 0}}", "a.price.input: Input should be"),
        ("a: {url: 'http://x', fallback: b}", "a.fallback: no model 'b'"),
        (
            "a: {url: 'http://x', fallback: b}\nb: {url: 'http://x', fallback: a}",
            "a.fallback: runs in a circle: a → b → a",
        ),
        ("a: {url: 'http://x'}\na: {url: 'http://y'}", "line 2: the key 'a' is there twice"),
        ("- a", "must be a mapping"),
        ("a: [", "while parsing"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadModelsFile, match=re.escape(reason)) as caught:
        load_endpoints(path)
    assert str(caught.value).startswith(str(path))
