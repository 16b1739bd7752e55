"""`treadle runtime …`: the model runtime, in place of this process."""

import os
import sys
from importlib.util import find_spec

import typer

from treadle.platform.cli.exits import Exit
from treadle.platform.cli.printing import new_app
from treadle.platform.embedded.runtime import INSTALL, MODULE

app = new_app()

# The runtime reads its own flags: it is started by name, and none of them is known here.
_PASSED_ON: dict[str, bool | list[str]] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}


@app.command("serve", context_settings=_PASSED_ON)
def serve(context: typer.Context) -> None:
    """Serve a checkpoint over the OpenAI protocol; `--help` lists what can be set."""
    _become("serve", *context.args)


@app.command("plan", context_settings=_PASSED_ON)
def plan(context: typer.Context) -> None:
    """Say what a checkpoint needs, how it is sharded and how fast it can be; starts nothing."""
    _become("plan", *context.args)


def _become(*args: str) -> None:
    """Replace this process, so that signals and the exit code are those of the runtime."""
    if find_spec("torch") is None:
        typer.echo(f"the model runtime is not installed: {INSTALL}", err=True)
        raise typer.Exit(Exit.FAILED)
    argv = [sys.executable, "-m", MODULE, *args]
    os.execv(sys.executable, argv)  # noqa: S606 - no shell on purpose
