"""A run as it happens: a table that lives in a terminal, lines everywhere else."""

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from treadle.platform.client.models import Event

_MARKS = {
    "running": "[cyan]●[/]",
    "waiting": "[yellow]◐[/]",
    "succeeded": "[green]✓[/]",
    "recovered": "[yellow]✓[/]",
    "skipped": "[dim]-[/]",
    "failed": "[red]✗[/]",
    "cancelled": "[red]■[/]",
    "unknown": "[red]?[/]",
}
_REFRESH_PER_S = 8
_LONGEST_REASON = 300


class Steps:
    """The latest status of every step, by node."""

    def __init__(self) -> None:
        self._status: dict[str, str] = {}
        self._node: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        """Why a node's last step that failed did, by node."""

    def take(self, event: Event) -> None:
        """Note what an event says about a step."""
        subject, _, status = event.type.partition(".")
        if subject == "step" and event.path and event.node and status in _MARKS:
            self._status[event.path] = status
            self._node[event.path] = event.node
            if reason := _reason(event):
                self.reasons[event.node] = reason

    def nodes(self) -> dict[str, Counter[str]]:
        """Count steps by status for each node, in the order in which they began."""
        counts: dict[str, Counter[str]] = {}
        for path, status in self._status.items():
            counts.setdefault(self._node[path], Counter())[status] += 1
        return counts


class Progress:
    """Shows a run's events on a console, for the time of a `with` block."""

    def __init__(self, console: Console, *, title: str) -> None:
        self._console = console
        self._title = title
        self._steps = Steps()
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, refresh_per_second=_REFRESH_PER_S, transient=False)
        self._show: Callable[[Event], None] = self._line if self._live is None else self._redraw

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def take(self, event: Event) -> None:
        """Show an event."""
        self._steps.take(event)
        self._show(event)

    def _redraw(self, _: Event) -> None:
        if self._live is not None:
            self._live.update(self._table())

    def _table(self) -> Table:
        table = Table(title=self._title, title_justify="left", box=None, show_header=False)
        for node, counts in self._steps.nodes().items():
            mark = _MARKS[_overall(counts)]
            some = "" if counts.total() == 1 else _spell(counts)
            table.add_row(mark, node, some, Text(self._steps.reasons.get(node, ""), style="dim"))
        return table

    def _line(self, event: Event) -> None:
        if event.type not in {"step.running", "step.delta"}:
            reason = _reason(event)
            line = f"{event.type} {event.path or ''}".rstrip() + (f": {reason}" if reason else "")
            self._console.print(line, markup=False, soft_wrap=True)


def _reason(event: Event) -> str:
    """Why a step came to an error; nothing for what went well, is tried again or ends the run."""
    error = event.body.get("error")
    if (
        event.path is None
        or event.type == "step.running"
        or not isinstance(error, dict)
        or "message" not in error
    ):
        return ""
    reason = " ".join(f"{error['message']} ({error.get('class')})".split())
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"


def _overall(counts: Counter[str]) -> str:
    """What stands for a node of several steps: work before trouble before success."""
    for status in ("running", "waiting", "failed", "unknown", "cancelled", "recovered"):
        if counts[status]:
            return status
    return "succeeded" if counts["succeeded"] else "skipped"


def _spell(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())
