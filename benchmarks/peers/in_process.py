"""Runs a peer's program under its own Python, which measures itself and prints its figures."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from stack.figures import Figures

from peers.registry import NotInstalled

PROGRAMS = Path(__file__).parent / "programs"


def peers_python(*modules: str) -> str:
    """The Python that has these; raises `NotInstalled`."""
    python = os.environ.get("PEERS_PYTHON")
    if python is None:
        raise NotInstalled("PEERS_PYTHON names no Python; see benchmarks/peers/README.md")
    tried = subprocess.run(
        [python, "-c", f"import {', '.join(modules)}"], capture_output=True, check=False
    )
    if tried.returncode != 0:
        raise NotInstalled(f"{python} lacks one of {', '.join(modules)}")
    return python


def run_program(
    python: str, name: str, arguments: Sequence[str], *, stack: str
) -> Iterator[Figures]:
    """Figures as the program prints them, one JSON object a line."""
    command = [python, str(PROGRAMS / name), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield replace(Figures(**json.loads(line)), stack=stack)
    if process.returncode != 0:
        raise RuntimeError(f"{name} ended with {process.returncode}")
