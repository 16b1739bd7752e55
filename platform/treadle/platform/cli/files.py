"""Files that are named on the command line."""

from pathlib import Path

from treadle.platform.cli.exits import Exit
from treadle.platform.cli.printing import fail

_SUFFIXES = {".yaml", ".yml", ".json"}


def read_file(path: Path) -> bytes:
    """Read a file whole, or end with the reason."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise fail(f"{path}: {error.strerror}", code=Exit.USAGE) from None


def read_template(path: Path) -> str:
    """Read a template's text, or end with the reason."""
    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise fail(f"{path}: not UTF-8 text", code=Exit.USAGE) from None


def is_file_name(name: str) -> bool:
    """Tell a template's file from a template's name."""
    return "/" in name or Path(name).suffix in _SUFFIXES
