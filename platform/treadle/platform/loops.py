"""Loops that last as long as their process: none ends because of what it met once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from treadle.platform.log import get_log

_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_LONG_LIFE_S = 60.0

log = get_log(__name__)


def keep_going(work: Callable[[], Awaitable[None]], *, name: str) -> asyncio.Task[None]:
    """Run a loop on the running event loop; what it raises is logged, and it begins anew.

    At first it pauses for a second, longer and longer if it soon fails again. It ends when it
    returns, or when the task is cancelled.
    """
    return asyncio.get_running_loop().create_task(_again(work, name), name=name)


async def _again(work: Callable[[], Awaitable[None]], name: str) -> None:
    pause_s = _PAUSE_S
    while True:
        began = time.monotonic()
        try:
            await work()
        except Exception:  # an edge: whatever it was, the next turn may do without
            log.exception("loop.fault", loop=name)
            lived_s = time.monotonic() - began
            pause_s = _PAUSE_S if lived_s > _LONG_LIFE_S else min(pause_s, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)
            pause_s *= 2
        else:
            return
