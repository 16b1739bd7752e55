"""A run as a cassette: recorded by the service, replayed by the command line."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.doubles.model_server import Json, ModelServer, Says, says
from tests.platform.cli.test_commands import run as command
from tests.platform.runs.conftest import Run

from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

BRIEF = """\
treadle: 1
name: brief
version: 1.0.0
inputs: {names: {type: array, items: {type: string}}, to: {type: string}}
nodes:
  each:
    use: map
    over: ${{ inputs.names }}
    as: name
    nodes:
      ask: {use: llm, with: {prompt: "Describe ${{ name }}"}}
    output: ${{ ask | upper }}
outputs: {all: "${{ each }}", to: "${{ inputs.to }}"}
"""
WAITS = """\
treadle: 1
name: waits
version: 1.0.0
nodes: {rest: {use: wait, with: {for: 1h}}}
"""


def answer(body: Json) -> Says:
    """Long enough that it lies outside the log."""
    prompt = str(body["messages"][-1]["content"])
    return says(f"{prompt}: write to eve@example.org " + "x" * 40_000)


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer(answer) as server:
        yield server


@pytest.fixture
def settings(settings: Settings, model: ModelServer) -> Settings:
    return settings.model_copy(update={"model_url": model.url, "model_name": "any"})


async def test_a_run_is_recorded_and_replayed_against_a_new_version(
    run: Run,
    client: httpx.AsyncClient,
    model: ModelServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = await run(BRIEF, names=["crm", "erp"], to="ada@example.com")
    assert shown["status"] == "succeeded", shown
    got = await client.get(f"/v1/runs/{shown['id']}/cassette")
    assert got.status_code == 200, got.text
    cassette = got.json()
    assert [(step["path"], step["status"]) for step in cassette["steps"]] == [
        ("each[0].ask", "succeeded"), ("each[1].ask", "succeeded"),
    ]  # fmt: skip
    assert len(cassette["steps"][0]["output"]) > 40_000
    assert "example.com" not in got.text
    assert "example.org" not in got.text
    assert cassette["inputs"]["to"] == "person-1@redacted.example"
    assert cassette["text"] == BRIEF

    monkeypatch.setenv("TREADLE_HOME", str(tmp_path / "nowhere"))
    tape, old, new = tmp_path / "run.json", tmp_path / "old.yaml", tmp_path / "new.yaml"
    tape.write_bytes(got.content)
    old.write_text(BRIEF, encoding="utf-8")
    new.write_text(
        BRIEF.replace("1.0.0", "1.1.0").replace("Describe", "Sketch").replace("upper", "lower"),
        encoding="utf-8",
    )
    calls = model.calls
    assert await asyncio.to_thread(command, "test", str(old), "--cassette", str(tape)) == 0
    assert "3 the same, 0 differ" in capsys.readouterr().out
    assert (
        await asyncio.to_thread(command, "test", str(new), "--cassette", str(tape), "--json") == 1
    )
    report = json.loads(capsys.readouterr().out)
    assert {(one["path"], one["what"]) for one in report["differences"]} == {
        ("each[0].ask", "asked"), ("each[1].ask", "asked"),
        ("each", "output"), ("outputs.all", "output"),
    }  # fmt: skip
    assert (report["before"], report["after"]) == ("1.0.0", "1.1.0")
    assert model.calls == calls


async def test_only_what_has_ended_can_be_recorded(run: Run, client: httpx.AsyncClient) -> None:
    started = await client.post("/v1/runs", json={"template": WAITS})
    path = f"/v1/runs/{started.json()['id']}"
    refused = await client.get(f"{path}/cassette")
    assert (refused.status_code, refused.json()["code"]) == (409, "run_not_finished")
    await client.post(f"{path}/cancel")
    assert (await client.get(f"{path}/cassette")).json()["status"] == "cancelled"


async def test_no_cassette_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, tape = tmp_path / "brief.yaml", tmp_path / "run.json"
    file.write_text(BRIEF, encoding="utf-8")
    tape.write_text("{}", encoding="utf-8")
    assert await asyncio.to_thread(command, "test", str(file), "--cassette", str(tape)) == 1
    assert "no cassette" in capsys.readouterr().err
