"""`treadle demo`."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from treadle.platform.cli.printing import fail, new_app
from treadle.platform.demo.drive import drive
from treadle.platform.demo.errors import DemoFailed
from treadle.platform.settings import Settings

app = new_app()
_PLAIN_WIDTH = 160  # columns where there is no terminal to ask


@app.command()
def demo(
    *,
    output: Annotated[Path, typer.Option(help="Folder for the plans and tables.")] = Path(
        "demo-output"
    ),
    home: Annotated[
        Path | None,
        typer.Option(help="State folder to use and keep; a service that runs there is used."),
    ] = None,
) -> None:
    """Run keyword research on three sample sites, through the public API, and check the figures.

    Starts a service of its own on free ports in a new home and stops it again.
    """
    # As Ctrl-C does: what was started is stopped in order, and the new home is removed.
    signal.signal(signal.SIGTERM, _end)
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=_PLAIN_WIDTH)
    with _home(home) as folder:
        try:
            drive(Settings().model_copy(update={"home": folder}), output, console)
        except DemoFailed as error:
            raise fail(f"the demo failed: {error}") from None


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


@contextmanager
def _home(given: Path | None) -> Generator[Path]:
    """The given folder, or a new one that is removed at the end."""
    if given is not None:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="treadle-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
