"""Finds an engine beside some Python interpreter, and what its version takes."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from treadle.model_runtime.engines.flags import FlagSet
from treadle.model_runtime.engines.parsers import read_flags
from treadle.model_runtime.errors import EngineRefused

TIMEOUT_S = 60
# Runs in the engine's own interpreter and imports nothing of the engine.
QUESTION = """
import importlib.metadata, importlib.util, json, sys
found = importlib.util.find_spec(sys.argv[1])
places = list(found.submodule_search_locations or []) if found else []
version = importlib.metadata.version(sys.argv[1]) if found else ""
print(json.dumps({"places": places, "version": version}))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """An engine's flags, and the interpreter that runs it."""

    python: Path
    flags: FlagSet


@dataclass(frozen=True, slots=True)
class _Answer:
    places: list[Path]
    version: str


def find_engine(engine: str, python: Path) -> Installed:
    """Ask an interpreter for an engine.

    Raises:
        EngineRefused: There is no such interpreter, or it has no such engine.
    """
    command = [str(python), "-c", QUESTION, engine]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        answer = TypeAdapter(_Answer).validate_python(json.loads(asked.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, ValidationError) as error:
        raise EngineRefused(f"{str(python)!r} cannot be asked for {engine}: {error}") from error
    if not answer.places:
        raise EngineRefused(
            f"{engine} is not installed beside {str(python)!r}; install it in an environment of "
            f"its own (`pip install {engine}`) and name that with --engine-python"
        )
    return Installed(python, read_flags(engine, answer.places[0], answer.version))
