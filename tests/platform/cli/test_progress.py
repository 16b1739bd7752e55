"""What the command line shows of a run while it happens."""

from io import StringIO

import pytest
from rich.console import Console

from treadle.agents.values import JsonObject
from treadle.platform.cli.progress import Progress
from treadle.platform.client.models import Event

_ERROR: JsonObject = {"class": "denied", "message": "refused to connect\nto [red]10.0.0.1[/]"}
_SHOWN = "refused to connect to [red]10.0.0.1[/] (denied)"


def _event(kind: str, error: JsonObject | None) -> Event:
    return Event(id=1, type=kind, node="page", path="pages[0].page", body={"error": error})


def _shown(event: Event, *, is_terminal: bool) -> str:
    console = Console(file=StringIO(), force_terminal=is_terminal, width=100)
    with Progress(console, title="x") as progress:
        progress.take(event)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("kind", ["step.failed", "step.recovered"])
def test_a_step_that_failed_says_why(kind: str) -> None:
    assert _shown(_event(kind, _ERROR), is_terminal=False) == f"{kind} pages[0].page: {_SHOWN}\n"


def test_a_terminal_says_why_beside_the_node() -> None:
    assert _SHOWN in _shown(_event("step.failed", _ERROR), is_terminal=True)


def test_a_long_reason_is_cut() -> None:
    shown = _shown(_event("step.failed", {**_ERROR, "message": "x" * 9_000}), is_terminal=False)
    assert len(shown) < 400


def test_the_end_of_a_run_repeats_no_reason() -> None:
    event = Event(id=2, type="run.failed", body={"error": _ERROR})
    assert _shown(event, is_terminal=False) == "run.failed\n"


def test_a_step_that_went_well_has_nothing_to_add() -> None:
    assert _shown(_event("step.succeeded", None), is_terminal=False) == (
        "step.succeeded pages[0].page\n"
    )
