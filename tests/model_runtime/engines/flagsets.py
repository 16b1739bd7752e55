"""The flags of the engines' versions that the commands were checked against.

Made by `scripts/check_engine_flags.py … --write` from the wheels.
"""

from pathlib import Path

from treadle.model_runtime.engines.flags import FlagSet

FOLDER = Path(__file__).parent / "flags"
ENGINES = ("vllm", "sglang")


def flags_of(engine: str) -> FlagSet:
    return FlagSet.from_json((FOLDER / f"{engine}.json").read_text(encoding="utf-8"))
