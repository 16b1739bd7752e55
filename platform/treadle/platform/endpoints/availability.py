"""Whether endpoints take connections."""

import time

from treadle.platform.health.probes import Probe, is_reachable

PROBE_S = 1.0
FRESH_S = 10.0


class Availability:
    """Whether hosts take connections, asked once in a while for everybody."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, bool]] = {}

    async def of(self, url: str) -> bool:
        """Whether an endpoint takes connections."""
        until, available = self._known.get(url, (0.0, False))
        if until < time.monotonic():
            available = await is_reachable(Probe.of(url), timeout_s=PROBE_S)
            self._known[url] = (time.monotonic() + FRESH_S, available)
        return available
