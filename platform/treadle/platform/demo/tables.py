"""The keyword table on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from treadle.platform.demo.rows import TableRow

_NARROW = 110  # columns; a terminal with fewer gets no column for evidence


def show_rows(console: Console, title: str, rows: Sequence[TableRow], *, limit: int) -> None:
    """Print the best rows with their scores and their strongest evidence."""
    is_wide = console.width >= _NARROW
    table = Table(title=f"{title}: {limit} of {len(rows)} keywords", title_justify="left")
    table.add_column("keyword", overflow="fold")
    table.add_column("cluster", overflow="fold")
    table.add_column("intent")
    table.add_column("opportunity", justify="right")
    table.add_column("difficulty", justify="right")
    table.add_column("uses", justify="right")
    if is_wide:
        table.add_column("evidence", overflow="fold")
    for row in rows[:limit]:
        cells = [
            row.keyword,
            row.cluster_head,
            f"{row.intent} ({row.intent_confidence:.0%})",
            _number(row.opportunity, digits=1),
            _number(row.difficulty_proxy, digits=2),
            f"{row.count} on {row.pages}",
        ]
        table.add_row(*cells, *([_evidence(row)] if is_wide else []))
    console.print(table)


def _number(value: float | None, *, digits: int) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"


def _evidence(row: TableRow) -> str:
    if not row.evidence:
        return "none: an idea"
    first = row.evidence[0]
    return f"{first.count}x in {first.zone} of {first.url}"
