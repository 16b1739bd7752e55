"""The entry point: finds the command, runs it, and turns expected errors into an exit code."""

import difflib
import sys
from collections.abc import Sequence
from importlib.metadata import version

from pydantic import ValidationError

from treadle.platform.cli.commands import COMMANDS
from treadle.platform.cli.exits import Exit
from treadle.platform.errors import PlatformError

_HELP = {"--help", "-h", "help"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run `treadle`; always ends the process, with an `Exit` as its code."""
    args = list(sys.argv[1:] if argv is None else argv)
    name = args[0] if args else "--help"
    if name in _HELP:
        sys.stdout.write(_overview())
        sys.exit(Exit.GOOD)
    if name == "--version":
        sys.stdout.write(f"treadle {version('treadle')}\n")
        sys.exit(Exit.GOOD)
    if name not in COMMANDS:
        _refuse(name)
    try:
        COMMANDS[name].load()(args=args[1:], prog_name=f"treadle {name}")
    except PlatformError as error:
        sys.stderr.write(f"treadle: {error}\n")
        sys.exit(Exit.FAILED)
    except ValidationError as error:
        if error.title != "Settings":
            raise
        sys.stderr.write(_bad_settings(error))
        sys.exit(Exit.USAGE)


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: treadle COMMAND [ARGUMENTS]   (treadle COMMAND --help says more)",
            "",
            "Press the treadle, and the loom runs: agents from YAML templates, durably.",
            "",
            *lines,
            "",
            "Exit codes: 0 good, 1 the thing asked failed, 2 usage. Settings: TREADLE_…, see",
            "docs/settings.md.",
            "",
        ]
    )


def _refuse(name: str) -> None:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `treadle {near[0]}`?" if near else "`treadle --help` lists the commands"
    sys.stderr.write(f"treadle: no command {name!r}; {hint}\n")
    sys.exit(Exit.USAGE)


def _bad_settings(error: ValidationError) -> str:
    lines = (
        f"treadle: TREADLE_{'_'.join(str(part) for part in one['loc']).upper()}: {one['msg']}\n"
        for one in error.errors()
    )
    return "".join(lines)
