"""What a killed supervisor may have left running, found by a mark in its environment."""

import os

import psutil

from treadle.platform.embedded.home import Home

MARK = "TREADLE_SUPERVISED_HOME"
"""Children carry it, and so does what they start. Nobody reads it as a setting."""
_PATIENCE_S = 3.0


def end_leftovers(home: Home) -> int:
    """End what an earlier supervisor of this home left; returns how many processes that were.

    PostgreSQL is not among them: it ends in order, by its own pid file.
    """
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    left = [
        process
        for process in psutil.process_iter()
        if process.pid not in ours and _mark(process) == str(home.root)
    ]
    for process in left:
        _send(process, kill=False)
    _, stubborn = psutil.wait_procs(left, timeout=_PATIENCE_S)
    for process in stubborn:
        _send(process, kill=True)
    psutil.wait_procs(stubborn, timeout=_PATIENCE_S)
    return len(left)


def _mark(process: psutil.Process) -> str | None:
    try:
        return None if process.name() == "postgres" else process.environ().get(MARK)
    except (psutil.Error, OSError):  # another user's, or gone
        return None


def _send(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return
