"""One measurement, and how it is printed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """One workload on one stack; `None` where it does not apply.

    Attributes:
        core: How fast a core was right after it, in million turns of a loop a second: virtual
            machines are not always as fast as they were a minute ago.
    """

    stack: str
    workload: str
    connections: int
    runs_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float | None = None
    commits: float | None = None
    transactions: float | None = None
    bytes: float | None = None
    other_cores: float | None = None
    core: float | None = None


_COLUMNS = (
    ("runs_per_s", "runs/s", "8.1f"),
    ("p50_ms", "p50 ms", "8.2f"),
    ("p95_ms", "p95 ms", "8.2f"),
    ("p99_ms", "p99 ms", "8.2f"),
    ("cpu_ms", "CPU ms", "8.3f"),
    ("commits", "commits", "8.3f"),
    ("transactions", "transact", "8.3f"),
    ("bytes", "bytes", "8.0f"),
    ("other_cores", "others", "7.2f"),
    ("core", "core", "6.1f"),
)


def header() -> str:
    """The columns' titles."""
    titles = " ".join(f"{title:>{spec.split('.')[0]}}" for _, title, spec in _COLUMNS)
    return f"{'stack':<18} {'workload':<11} {'conn':>4} {titles}"


def line(figures: Figures) -> str:
    """One row of the table."""
    cells = (_cell(getattr(figures, name), spec) for name, _, spec in _COLUMNS)
    first = f"{figures.stack:<18} {figures.workload:<11} {figures.connections:>4}"
    return f"{first} {' '.join(cells)}"


def _cell(value: float | None, spec: str) -> str:
    return f"{'-':>{spec.split('.')[0]}}" if value is None else f"{value:{spec}}"
