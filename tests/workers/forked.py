"""A process that has imported what workers need; each worker of the tests is forked from it.

A new interpreter imports for two to ten seconds, and these tests start some sixty workers.
`test_worker` starts one the ordinary way.
"""

import gc
import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from treadle.integrations.registry import all_tools
from treadle.workers.__main__ import main

all_tools()
gc.freeze()

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def fork(arguments: list[str], env: dict[str, str], log: Path) -> ForkServerProcess:
    """Start `python -m treadle.workers` with these arguments and write what it says to a file."""
    process = _FORKS.Process(target=_live, args=(arguments, {**os.environ, **env}, log))
    process.start()
    return process


def _live(arguments: list[str], env: dict[str, str], log: Path) -> None:
    os.setsid()
    os.environ.update(env)
    with log.open("ab") as file:
        for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(file.fileno(), descriptor)
    sys.exit(main(arguments))
