"""Compares our calls of FlashMLA, FlashInfer and DeepGEMM with their sources; no GPU is needed.

    pip download --no-deps flashinfer-python==0.7.4 -d sources
    git clone …deepseek-ai/FlashMLA sources/FlashMLA    # a checkout: its wheel has no sources
    git clone …deepseek-ai/DeepGEMM sources/DeepGEMM
    python scripts/check_gpu_signatures.py sources/*              # check
    python scripts/check_gpu_signatures.py sources/* --write      # keep them for the tests

Kept are the names of the arguments of the functions that are called, and nothing else.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from treadle.model_runtime.errors import ModelRuntimeError
from treadle.model_runtime.kernels.gpu.signatures import calls_here, problems, read_sources

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "tests" / "model_runtime" / "signatures"


def main() -> int:
    """Check each; 1 if one would refuse a call."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sources", nargs="+", type=Path, help="a wheel, or a checkout's folder")
    parser.add_argument("--write", action="store_true", help="write the names for the tests")
    given = parser.parse_args()
    return max(_check(where, write=given.write) for where in given.sources)


def _check(where: Path, *, write: bool) -> int:
    try:
        sources = read_sources(where)
    except ModelRuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    calls = calls_here()
    called = {name: sources.functions[name] for name in calls if name in sources.functions}
    found = list(problems(sources, calls))
    print(f"{sources.package} {sources.version}: {len(called)} called; {len(found)} problems")
    print("".join(f"  {problem}\n" for problem in found), end="")
    if write:
        TARGET.mkdir(exist_ok=True)
        kept = replace(sources, functions=called).to_json()
        (TARGET / f"{sources.package}.json").write_text(kept, encoding="utf-8")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
