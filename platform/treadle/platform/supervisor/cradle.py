"""Two ways to a nursery: to fork it before anything runs, and to execute it later."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from treadle.platform.supervisor.nursery import run
from treadle.platform.supervisor.pipes import become_writer
from treadle.platform.supervisor.tether import tether

_MODULE = "treadle.platform.supervisor.nursery"


class Cradle(NamedTuple):
    """A nursery that has begun to import.

    Attributes:
        channel: Our end of its socket; it ends when this is closed.
        output: A descriptor to read what it prints from.
        reap: Waits for its end.
    """

    channel: socket.socket
    output: int
    reap: Callable[[], object]


def fork_cradle(modules: Sequence[str]) -> Cradle:
    """Fork this process, which has one thread and no event loop, and let the child be a nursery.

    It shares what is imported here already, and imports at once: that is half a second, and tens
    of megabytes, less than a new interpreter takes.
    """
    ours, theirs = _socket_pair()
    reading, writing = os.pipe()
    supervisor = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        tether(signal.SIGTERM, parent=supervisor)()
        os.setsid()
        ours.close()
        os.close(reading)
        _close_input()
        become_writer(writing)
        sys.exit(run(theirs, list(modules)))
    theirs.close()
    os.close(writing)
    return Cradle(ours, reading, lambda: os.waitpid(pid, 0))


def execute_cradle(modules: Sequence[str]) -> Cradle:
    """Start a nursery in a new interpreter, beside an event loop and threads."""
    ours, theirs = _socket_pair()
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(theirs.fileno()), *modules],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            preexec_fn=tether(signal.SIGTERM, parent=os.getpid()),
        )
    except OSError:
        ours.close()
        os.close(reading)
        raise
    finally:
        theirs.close()
        os.close(writing)
    return Cradle(ours, reading, process.wait)


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def _close_input() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
