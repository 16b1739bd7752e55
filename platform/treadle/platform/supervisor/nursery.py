"""A process that imports everything our processes need, and forks them when it is told to.

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
from typing import NamedTuple

from treadle.platform.supervisor.messages import (
    MESSAGE_SIZE,
    Birth,
    Born,
    Ended,
    decode_birth,
    encode,
)
from treadle.platform.supervisor.pipes import become_writer
from treadle.platform.supervisor.tether import name_process, tether

Life = Callable[[], int]
"""What a forked process does instead of going on here; returns its exit code."""


def main(args: list[str]) -> int:
    """See the module."""
    return run(socket.socket(fileno=int(args[0])), args[1:])


def run(channel: socket.socket, modules: list[str]) -> int:
    """Import the modules and fork until the socket closes; in a forked process, live its life.

    A process whose module is there, or is none of these, is not kept waiting for those after it.

    The collector stays away: it takes half a second and finds next to nothing, and in what the
    children share it may not write, which copies pages.
    """
    gc.disable()
    name_process("nursery")
    nursery = _Nursery(channel)
    life: Life | None = None
    for count, module in enumerate(modules, start=1):
        import_module(module)
        _read_what_all_share()
        gc.freeze()
        life = nursery.serve(missing=modules[count:])
        if life is not None:
            break
    return 0 if life is None else life()


def _read_what_all_share() -> None:
    # Not at the top: the supervisor has this module, too, and needs neither.
    from treadle.integrations.registry import all_tools  # noqa: PLC0415
    from treadle.platform.templates.library import read_bundled  # noqa: PLC0415

    all_tools()
    read_bundled()


class _Order(NamedTuple):
    birth: Birth
    output: int


class _Nursery:
    """What a process needs to fork others, and to hear of their ends."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._woken, self._wakes = os.pipe()
        self._held: _Order | None = None
        os.set_blocking(self._wakes, False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(self._wakes)

    def serve(self, *, missing: list[str]) -> Life | None:
        """Fork for every birth; returns a life in a forked process, and None here.

        Args:
            missing: Modules that are still to be imported. With any it returns when nothing else
                is to do, and holds a birth that waits for one of them; without, when the socket
                closes.
        """
        patience = 0.0 if missing else None
        channel = self._channel.fileno()
        while True:
            if self._held is not None:
                if self._held.birth.module in missing:
                    return None
                order, self._held = self._held, None
                life = self._bear(order)
                if life is not None:
                    return life
            ready, _, _ = select.select([channel, self._woken], [], [], patience)
            if not ready:
                return None
            if self._woken in ready:
                os.read(self._woken, MESSAGE_SIZE)
                self._report_ended()
            if channel in ready:
                text, descriptors, _, _ = socket.recv_fds(self._channel, MESSAGE_SIZE, maxfds=1)
                if not text:
                    return None
                self._held = _Order(decode_birth(text), descriptors[0])

    def _bear(self, order: _Order) -> Life | None:
        nursery = os.getpid()
        pid = os.fork()
        if pid == 0:
            for descriptor in (self._woken, self._wakes, self._channel.detach()):
                os.close(descriptor)
            return _life(order, nursery=nursery)
        os.close(order.output)
        self._channel.send(encode(Born(pid)))
        return None

    def _report_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._channel.send(encode(Ended(pid, os.waitstatus_to_exitcode(status))))


def _ignore(_: int, __: FrameType | None) -> None:
    """Only the wake-up counts."""


def _life(order: _Order, *, nursery: int) -> Life:
    """Become a process of its own, in the forked child."""
    birth = order.birth
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    tether(signal.Signals(birth.stop_signal), parent=nursery)()
    os.setsid()
    become_writer(order.output)
    name_process(birth.name)
    gc.enable()
    os.environ.update(birth.env)
    sys.argv = [birth.module, *birth.args]
    main_of: Callable[[list[str]], int] = import_module(birth.module).main
    return lambda: main_of(list(birth.args))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
