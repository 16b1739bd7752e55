"""What the process's exit code says."""

from enum import IntEnum


class Exit(IntEnum):
    """Fixed: scripts rely on them."""

    GOOD = 0
    FAILED = 1
    """What was asked for failed."""
    USAGE = 2
    """It was asked for wrongly."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it."""
