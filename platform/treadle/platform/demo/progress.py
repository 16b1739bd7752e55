"""What a terminal shows while runs go on: bars where it can redraw, else a line per node."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from treadle.platform.client import Event

_DONE = frozenset({"succeeded", "recovered", "skipped", "failed"})


class Watcher(Protocol):
    """Told of every event of every run."""

    def saw(self, name: str, event: Event) -> None:
        """Take an event of the run called `name`."""
        ...


@contextmanager
def watching(console: Console, names: Sequence[str], *, nodes: int) -> Generator[Watcher]:
    """Show the progress of runs of a template with so many top-level nodes."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", style="bold"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f} nodes"),
        TextColumn("{task.fields[now]}", style="dim"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        yield _Bars(
            progress, {name: progress.add_task(name, total=nodes, now="") for name in names}
        )


class _Lines:
    """One line per finished top-level node."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def saw(self, name: str, event: Event) -> None:
        status = _finished(event)
        if status is not None:
            self._console.print(f"{name}: {event.node} {status}", highlight=False)


class _Bars:
    """One bar per run; steps inside a map are named beside it."""

    def __init__(self, progress: Progress, tasks: dict[str, TaskID]) -> None:
        self._progress = progress
        self._tasks = tasks

    def saw(self, name: str, event: Event) -> None:
        if event.path:
            self._progress.update(self._tasks[name], now=event.path)
        if _finished(event) is not None:
            self._progress.advance(self._tasks[name])


def _finished(event: Event) -> str | None:
    """The status that a top-level node ended with, `None` for any other event."""
    subject, _, status = event.type.partition(".")
    is_top = subject == "step" and event.node is not None and "." not in event.node
    return status if is_top and event.item is None and status in _DONE else None
