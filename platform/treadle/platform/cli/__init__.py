"""The command line `treadle`.

A command is a module with an `app`, named in `commands`; it is imported when it is asked for, so
that `treadle lint` does not load what `treadle up` needs.
"""

from treadle.platform.cli.main import main

__all__ = ["main"]
