"""How often to look at a run that somebody waits for."""

import time
from datetime import timedelta

from treadle.platform.client.errors import RunStillGoing
from treadle.platform.client.models import Run

_FIRST_S = 0.05
_LONGEST_S = 1.0
_GROWTH = 1.5


class Polling:
    """Looks often at first, then once a second, until the time is over."""

    def __init__(self, timeout: timedelta | None) -> None:
        self._timeout = timeout
        self._started = time.monotonic()
        self._pause_s = _FIRST_S

    def pause_s(self, run: Run) -> float:
        """Return how long to wait before the next look.

        Raises:
            RunStillGoing: The time is over.
        """
        waited = timedelta(seconds=time.monotonic() - self._started)
        if self._timeout is not None and waited >= self._timeout:
            raise RunStillGoing(run.id, waited, run.status)
        pause_s = self._pause_s
        self._pause_s = min(pause_s * _GROWTH, _LONGEST_S)
        return pause_s
