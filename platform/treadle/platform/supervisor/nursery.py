"""A process that has imported everything our processes need, and forks them when it is told to.

They share its memory and begin at once: a killed worker is back in a tenth of a second, where a
new interpreter would import for two seconds.

`python -m treadle.platform.supervisor.nursery FD MODULE…`: FD is a socket, at whose other end is
`nurse`. A `Birth` with the write end of a pipe comes in, `Born` and `Ended` go out. It ends with
its socket.
"""

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType

from treadle.integrations.registry import all_tools
from treadle.platform.supervisor.messages import (
    MESSAGE_SIZE,
    Birth,
    Born,
    Ended,
    Hello,
    decode_birth,
    encode,
)
from treadle.platform.supervisor.tether import name_process, tether

Life = Callable[[], int]
"""What a forked process does instead of going on here; returns its exit code."""


def main(args: list[str]) -> int:
    """Import the modules, then fork until the socket closes."""
    channel = socket.socket(fileno=int(args[0]))
    for module in args[1:]:
        import_module(module)
    all_tools()
    # The collector must not touch what the children share: writing to a page copies it.
    gc.collect()
    gc.freeze()
    channel.send(encode(Hello()))
    life = _serve(channel)
    return 0 if life is None else life()


def _serve(channel: socket.socket) -> Life | None:
    """Fork for every birth; returns None at the end, and in a forked process its life."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, _ignore)
    signal.set_wakeup_fd(wakes)
    while True:
        ready, _, _ = select.select([channel.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, MESSAGE_SIZE)
            _report_ended(channel)
        if channel.fileno() in ready:
            text, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_SIZE, maxfds=1)
            if not text:
                return None
            nursery = os.getpid()
            pid = os.fork()
            if pid == 0:
                for descriptor in (woken, wakes, channel.detach()):
                    os.close(descriptor)
                return _life(decode_birth(text), output=descriptors[0], nursery=nursery)
            os.close(descriptors[0])
            channel.send(encode(Born(pid)))


def _ignore(_: int, __: FrameType | None) -> None:
    """Only the wake-up counts."""


def _report_ended(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        channel.send(encode(Ended(pid, os.waitstatus_to_exitcode(status))))


def _life(birth: Birth, *, output: int, nursery: int) -> Life:
    """Become a process of its own, in the forked child."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    tether(signal.Signals(birth.stop_signal), parent=nursery)()
    os.setsid()
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(output, descriptor)
    os.close(output)
    name_process(birth.name)
    os.environ.update(birth.env)
    sys.argv = [birth.module, *birth.args]
    main_of: Callable[[list[str]], int] = import_module(birth.module).main
    return lambda: main_of(list(birth.args))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
