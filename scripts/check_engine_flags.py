"""Reads the flags of vLLM or SGLang out of a wheel, and checks our commands against them.

    pip download --no-deps vllm==0.33.0 sglang==0.5.23 -d wheels
    python scripts/check_engine_flags.py wheels/*.whl             # check
    python scripts/check_engine_flags.py wheels/*.whl --write     # keep the flags for the tests

Checked are the commands that `serve --engine …` builds for every recipe and those written down
in deploy/ and docs/. No GPU is needed, and nothing in the wheel is run.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import Path as ZipPath

from treadle.model_runtime.engines.flags import FlagSet
from treadle.model_runtime.engines.parsers import read_flags
from treadle.model_runtime.engines.recipes import RECIPES, command_of, written_commands
from treadle.model_runtime.errors import ModelRuntimeError

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "tests" / "model_runtime" / "engines" / "flags"
WHEEL = re.compile(r"(vllm|sglang)-([^-]+)-")


def main() -> int:
    """Check each wheel; 1 if one refuses a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="write the flags for the tests")
    given = parser.parse_args()
    return max(_check(wheel, write=given.write) for wheel in given.wheels)


def _check(wheel: Path, *, write: bool) -> int:
    found = WHEEL.match(wheel.name)
    if found is None:
        sys.stderr.write(f"{wheel.name} is no wheel of vllm or sglang\n")
        return 1
    engine, version = found.groups()
    try:
        flags = read_flags(engine, ZipPath(wheel, f"{engine}/"), version)
    except ModelRuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if write:
        TARGET.mkdir(exist_ok=True)
        (TARGET / f"{engine}.json").write_text(flags.to_json(), encoding="utf-8")
    problems = list(_problems(flags))
    print(f"{engine} {version}: {len(flags.flags)} flags; {len(problems)} problems")
    print("".join(f"  {problem}\n" for problem in problems), end="")
    return 1 if problems else 0


def _problems(flags: FlagSet) -> Iterator[str]:
    for name, recipe in RECIPES.items():
        if recipe.engine == flags.engine:
            command = command_of(recipe, flags)
            yield from (f"recipe {name!r}: {problem}" for problem in flags.problems(command))
    for where, engine, command in written_commands(ROOT):
        if engine == flags.engine:
            yield from (f"{where}: {problem}" for problem in flags.problems(command))


if __name__ == "__main__":
    sys.exit(main())
