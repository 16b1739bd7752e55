"""Ties a child to its supervisor's life: when that one is killed, the kernel tells the child."""

import ctypes
import os
import sys
from collections.abc import Callable
from signal import Signals

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Loaded here: between fork and exec nothing may be imported or looked up.
_PRCTL: Callable[..., int] | None = (
    ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
)


def tether(signal: Signals) -> Callable[[], None]:
    """Return what the child does before its program starts; elsewhere than on Linux, nothing."""
    supervisor = os.getpid()

    def tie() -> None:
        if _PRCTL is None:
            return
        _PRCTL(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
        if os.getppid() != supervisor:  # it died before we asked
            os._exit(1)

    return tie
