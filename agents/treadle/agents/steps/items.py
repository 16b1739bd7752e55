"""Many items to run at once; how they are run is the interpreter's business."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from treadle.agents.steps.gate import Gate
from treadle.agents.steps.quiet import Place


@dataclass(frozen=True, slots=True)
class Items:
    """What to run: `run_one` gets each index once, in order, at most `places` at a time.

    Attributes:
        outer: The place of the item around all of these.
    """

    count: int
    places: asyncio.Semaphore
    gate: Gate
    run_one: Callable[[int, Place], Coroutine[None, None, None]]
    outer: Place | None = None
