import json
from pathlib import Path

import pytest

from treadle.platform.cli import main
from treadle.platform.cli.commands import COMMANDS
from treadle.platform.embedded.sockets import free_port

GOOD = """
treadle: 1
name: greet
version: 1.0.0
inputs: {name: {type: string}}
nodes:
  hi: {use: set, with: {text: "Hello ${{ inputs.name }}"}}
outputs: {text: "${{ hi.text }}"}
"""


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home in which nothing runs."""
    monkeypatch.setenv("TREADLE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TREADLE_PORT", str(free_port()))


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(args)
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert f"treadle {name}" in capsys.readouterr().out


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(command.summary in out for command in COMMANDS.values())


def test_a_wrong_command_is_usage_and_has_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lnt") == 2
    assert "did you mean `treadle lint`?" in capsys.readouterr().err


def test_a_wrong_setting_is_usage_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TREADLE_PORT", "many")
    assert run("doctor") == 2
    assert "TREADLE_PORT" in capsys.readouterr().err


def test_lint_of_a_good_file_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "greet.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert run("lint", str(path)) == 0
    assert capsys.readouterr().out == ""


def test_lint_says_where_and_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "greet.yaml"
    path.write_text(GOOD.replace("inputs.name", "inputs.nme"), encoding="utf-8")
    assert run("lint", str(path)) == 1
    assert capsys.readouterr().out.startswith(f"{path}:7:")
    assert run("lint", str(path), "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["valid"] is False
    assert answer["issues"][0]["path"] == "nodes.hi.with.text"


def test_lint_of_no_file_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lint", "/no/such.yaml") == 2
    assert "/no/such.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("api",), ("worker",), ("scheduler",), ("keys", "create")])
def test_a_part_alone_needs_databases(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command) == 1
    assert "`treadle up`" in capsys.readouterr().err


@pytest.mark.slow
def test_run_without_a_service_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "greet") == 1
    assert "treadle up" in capsys.readouterr().err


def test_a_wrong_scope_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "create", "--scopes", "all") == 2
    assert "runs:read" in capsys.readouterr().err
