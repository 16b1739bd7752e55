"""What `treadle up` prints: one line per line of a child, with the child's name before it.

In a terminal log lines are made readable; in a file they stay as they are, for programs.
"""

import sys
from asyncio import StreamReader
from typing import TextIO

from treadle.platform.supervisor.rendering import rendered

SUPERVISOR = "treadle"
_WIDTH = 9
_COLOURS = {
    SUPERVISOR: "1",
    "postgres": "34",
    "valkey": "35",
    "api": "32",
    "worker": "36",
    "scheduler": "33",
    "runtime": "31",
}


class Console:
    """Writes whole lines, so that those of several children never mix."""

    def __init__(self, out: TextIO | None = None, *, has_colour: bool | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self._has_colour = self._out.isatty() if has_colour is None else has_colour

    def say(self, text: str) -> None:
        """Write the supervisor's own word."""
        self.line(SUPERVISOR, text)

    def line(self, name: str, text: str) -> None:
        """Write one line."""
        label = f"{name:<{_WIDTH}} |"
        if self._has_colour:
            label = f"\x1b[{_COLOURS.get(name, '0')}m{label}\x1b[0m"
        # A terminal that went away must not end the service.
        try:
            self._out.write(f"{label} {text}\n")
            self._out.flush()
        except (OSError, ValueError):
            return

    async def copy(self, name: str, lines: StreamReader) -> None:
        """Write all that a child prints, until it closes its output."""
        while True:
            try:
                line = await lines.readline()
            except ValueError:  # longer than the reader's limit; it has dropped that much
                self.line(name, "(a line too long to show)")
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\r\n")
            self.line(name, rendered(text) if self._has_colour else text)
