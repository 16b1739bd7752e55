"""LangGraph in memory, in process: nothing survives, so nobody can be cheaper on it."""

import sys
from collections.abc import Iterator

from stack.figures import Figures

from peers.in_process import run_program
from peers.registry import Options


def measure(options: Options) -> Iterator[Figures]:
    """Without a saver."""
    arguments = [str(options.seconds), options.model_url]
    yield from run_program(sys.executable, "langgraph_runs.py", arguments, stack="langgraph")
