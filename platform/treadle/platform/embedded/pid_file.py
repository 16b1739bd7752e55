"""PostgreSQL's pid file: what a running server says there, and what a crashed one leaves."""

from pathlib import Path
from signal import SIGINT

import psutil

from treadle.platform.embedded.errors import StillInUse

_PID_FILE = "postmaster.pid"
_STOP_S = 15.0  # a fast shutdown writes a checkpoint


def end_previous_postgres(data: Path) -> None:
    """Stop the server that still runs on this data, if any, and drop a pid file that lies.

    Called under the home's lock: no living supervisor owns that server.

    Raises:
        StillInUse: It does not stop.
    """
    pid_file = data / _PID_FILE
    pid = _first_number(pid_file)
    if pid is None:
        return
    server = _server(pid, data)
    if server is not None:
        _stop(server, data)
    # Another process may have got the number since; the server would take that one for itself.
    pid_file.unlink(missing_ok=True)


def says_ready(data: Path) -> bool:
    """Tell whether the server has written that it takes connections."""
    try:
        return "ready" in (data / _PID_FILE).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return False


def _first_number(pid_file: Path) -> int | None:
    try:
        first = pid_file.read_text(encoding="utf-8").split("\n", 1)[0]
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else 0


def _server(pid: int, data: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        runs_here = str(data) in process.cmdline()
    except psutil.Error:
        return None
    return process if runs_here else None


def _stop(server: psutil.Process, data: Path) -> None:
    try:
        server.send_signal(SIGINT)  # end sessions, write everything, go
        server.wait(_STOP_S)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired as error:
        raise StillInUse(data, server.pid) from error
