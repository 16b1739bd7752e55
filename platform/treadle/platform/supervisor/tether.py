"""Ties a child to its parent's life: when that one is killed, the kernel tells the child."""

import ctypes
import os
import sys
from collections.abc import Callable
from signal import Signals

_PR_SET_PDEATHSIG = 1  # linux/prctl.h, as the next
_PR_SET_NAME = 15
# Loaded here: between fork and exec nothing may be imported or looked up.
_PRCTL: Callable[..., int] | None = (
    ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
)


def tether(signal: Signals, *, parent: int) -> Callable[[], None]:
    """Return what the child does before its program starts; elsewhere than on Linux, nothing."""

    def tie() -> None:
        if _PRCTL is None:
            return
        _PRCTL(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return tie


def name_process(name: str) -> None:
    """Give a forked process the name that `ps` and `top` show."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_NAME, f"treadle-{name}".encode(), 0, 0, 0)
