"""Every command: where it is, and the line that `treadle --help` has about it."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from typer import Typer


class Command(NamedTuple):
    """A typer app in a module that is imported when the command is asked for."""

    summary: str
    module: str
    app: str = "app"

    def load(self) -> Callable[..., None]:
        """Import the command."""
        app = getattr(import_module(f"treadle.platform.{self.module}"), self.app)
        assert isinstance(app, Typer)  # noqa: S101 - the table below names nothing else
        return app


COMMANDS = {
    "up": Command("Run everything: databases, API, worker, scheduler.", "cli.up"),
    "run": Command("Run a template and show what it makes.", "cli.run"),
    "lint": Command("Check a template's file; needs no service.", "cli.lint"),
    "test": Command("Run a template's own tests; needs no service.", "cli.testing"),
    "plan": Command("Say what a run would need, before it runs.", "cli.planning"),
    "import": Command("Turn a workflow of Dify or n8n into a template.", "cli.importing"),
    "push": Command("Publish a template's file.", "cli.push"),
    "keys": Command("Make API keys.", "cli.keys"),
    "runtime": Command("Serve a model, or plan what one needs.", "cli.runtime"),
    "demo": Command("Run keyword research on sample sites and check it.", "demo.command"),
    "doctor": Command("Say what is wrong with this installation.", "cli.doctor"),
    "api": Command("Run an API process alone.", "cli.processes", "api"),
    "worker": Command("Run a worker alone.", "cli.processes", "worker"),
    "scheduler": Command("Run a scheduler alone.", "cli.processes", "scheduler"),
}
