"""Writes docs/settings.md from the settings; with --check it only compares, for `make check`."""

import argparse
import sys
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from treadle.platform.settings import Settings

TARGET = Path(__file__).parent.parent / "docs" / "settings.md"

HEAD = """\
# Settings

Made from `platform/treadle/platform/settings.py` by `make docs`; do not edit.

Every setting is an environment variable, read once at the start. A value that is wrong stops the
start with the variable's name.

| variable | default | meaning |
|---|---|---|
"""

TAIL = """
Without a database and a broker of your own, `treadle up` starts PostgreSQL and Valkey under
`TREADLE_HOME` and names them to its processes. `treadle doctor` says which settings do not hold.
"""


def main() -> int:
    """Write the file, or compare it; 1 when it differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    wanted = reference()
    if not parser.parse_args().check:
        TARGET.write_text(wanted, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write("docs/settings.md is not what settings.py says: run `make docs`\n")
    return 1


def reference() -> str:
    """Return the file's text."""
    rows = (_row(name, field) for name, field in Settings.model_fields.items())
    return HEAD + "".join(rows) + TAIL


def _row(name: str, field: FieldInfo) -> str:
    default = "" if field.default in {None, PydanticUndefined, ""} else f"`{field.default}`"
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `TREADLE_{name.upper()}` | {default} | {meaning} |\n"


if __name__ == "__main__":
    sys.exit(main())
