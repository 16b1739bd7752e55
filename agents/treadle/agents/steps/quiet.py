"""Noticing that nothing works any more: in a run, which then parks; in an item, which gives way.

Both look a moment later again: a step that ends lets others begin, and those come a few turns of
the loop later. Looking too early does no harm. A run that parks with work left takes its end, and
an item that gave its place away asks for it before it goes on.
"""

import asyncio
from collections.abc import Callable

from treadle.agents.steps.gate import Gate

LISTEN_S = 0.05
GIVE_WAY_S = 0.002
_LOOK_AT_CLOCK_S = 0.25


class _Watch:
    """Calls `on_quiet` when a gate was quiet for a while, without anything beginning."""

    def __init__(self, gate: Gate, *, for_s: float, on_quiet: Callable[[], None]) -> None:
        self._gate = gate
        self._for_s = for_s
        self._on_quiet = on_quiet
        self._timer: asyncio.TimerHandle | None = None
        gate.on_quiet = self._begin

    def stop(self) -> None:
        """Look no more."""
        self._gate.on_quiet = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._for_s, self._look, self._gate.begun)

    def _look(self, begun: int) -> None:
        self._timer = None
        if not self._gate.is_quiet:
            return
        if self._gate.begun == begun:
            self._on_quiet()
        else:
            self._begin()


class Quiet:
    """Who listens in a run; all of them stop once nothing in it works."""

    def __init__(self, gate: Gate) -> None:
        self._listening: set[asyncio.Future[None]] = set()
        self._watch = _Watch(gate, for_s=LISTEN_S, on_quiet=self._give_up)

    def listening(self) -> "asyncio.Future[None]":
        """A future that ends when there is no point in listening; cancel it to leave."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listening.add(future)
        future.add_done_callback(self._listening.discard)
        return future

    def stop(self) -> None:
        """The run is over here."""
        self._watch.stop()

    def _give_up(self) -> None:
        for future in tuple(self._listening):
            if not future.done():
                future.set_result(None)


class Place:
    """An item's place under its map's `concurrency`; held from the start, free while it waits.

    Args:
        outer: The place of the item around the map, if there is one.
    """

    def __init__(self, places: asyncio.Semaphore, *, outer: "Place | None") -> None:
        self._places = places
        self._outer = outer
        self._is_held = True
        self._watch: _Watch | None = None

    def follow(self, gate: Gate) -> None:
        """Give way whenever nothing works behind this gate: the item's."""
        self._watch = _Watch(gate, for_s=GIVE_WAY_S, on_quiet=self._give_way)

    async def take_again(self) -> None:
        """Return when the item may work."""
        if self._outer is not None:
            await self._outer.take_again()
        if self._is_held:
            return
        await self._places.acquire()
        if self._is_held:  # another step of the item was faster
            self._places.release()
        self._is_held = True

    def leave(self) -> None:
        """The item is done."""
        if self._watch is not None:
            self._watch.stop()
        self._give_way()

    def _give_way(self) -> None:
        if self._is_held:
            self._is_held = False
            self._places.release()


class WorkingTime:
    """Ends something after a time of work behind a gate; waiting does not count.

    Args:
        on_over: Called once when the time is over.
    """

    def __init__(self, gate: Gate, limit_s: float | None, *, on_over: Callable[[], None]) -> None:
        self._gate = gate
        self._left_s = limit_s
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._over_at = 0.0
        self._is_still = False
        if limit_s is not None:
            gate.on_quiet = self._stand_still
            self._go()

    def stop(self) -> None:
        """Measure no more."""
        self._gate.on_quiet = None
        if self._timer is not None:
            self._timer.cancel()

    def _go(self) -> None:
        # Kept, as uvloop's timer for a time that is here does not know it.
        self._over_at = self._loop.time() + (self._left_s or 0.0)
        self._timer = self._loop.call_at(self._over_at, self._on_over)

    def _stand_still(self) -> None:
        if self._timer is None or self._is_still:
            return
        self._is_still = True
        self._left_s = max(0.0, self._over_at - self._loop.time())
        self._timer.cancel()
        self._timer = self._loop.call_later(_LOOK_AT_CLOCK_S, self._look)

    def _look(self) -> None:
        if self._gate.is_quiet:
            self._timer = self._loop.call_later(_LOOK_AT_CLOCK_S, self._look)
        else:
            self._is_still = False
            self._go()
