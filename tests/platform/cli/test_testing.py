"""`treadle test`, without any service."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.platform.cli.test_commands import run

GOOD = """\
treadle: 1
name: probe
version: 1.0.0
nodes:
  far: {use: web.search, with: {query: crm}, on_error: {value: {results: []}}}
outputs: {n: "${{ far.results | length }}"}
tests:
  - {name: down, mock: {far: {$error: timeout}}, expect: ["outputs.n == 0"]}
"""


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TREADLE_HOME", str(tmp_path / "home"))


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "probe.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_tests_that_pass_are_exit_code_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("test", written(tmp_path, GOOD)) == 0
    assert "ok     down" in capsys.readouterr().out


def test_a_test_that_fails_is_exit_code_1_with_what_was_found_and_junit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, GOOD.replace("outputs.n == 0", "outputs.n == 7"))
    assert run("test", file, "--junit", str(tmp_path / "junit.xml")) == 1
    out = capsys.readouterr().out
    assert "FAILED down" in out
    assert "outputs.n is 0" in out
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()  # noqa: S314  our own
    assert suite.attrib["failures"] == "1"


def test_a_template_without_tests_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _, _ = GOOD.partition("tests:")
    assert run("test", written(tmp_path, text)) == 1
    assert "has no tests" in capsys.readouterr().out


def test_a_template_with_errors_is_exit_code_1_and_its_issues_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("test", written(tmp_path, GOOD.replace("web.search", "web.seerch"))) == 1
    assert "web.search" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_usage(tmp_path: Path) -> None:
    assert run("test", str(tmp_path / "none.yaml")) == 2
    assert run("test", "no-such-template") == 2


def test_a_bundled_template_is_tested_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", "keyword-research", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert len(report["verdicts"]) >= 3
