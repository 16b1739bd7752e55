"""What can go wrong with schedules.

PlatformError
├── ScheduleInvalid        the rule names no time, several, or one that cannot be
└── BackfillTooLong        more fires than one backfill may make
"""

from treadle.agents.errors import Issue
from treadle.platform.errors import Unprocessable


class ScheduleInvalid(Unprocessable):
    """A field of a schedule is wrong; `issues` has its name."""

    code = "schedule_invalid"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, issues=[Issue("error", field, None, None, message)])
        self.field = field


class BackfillTooLong(Unprocessable):
    """The time has more fires than one call may make."""

    code = "backfill_too_long"

    def __init__(self, most: int) -> None:
        super().__init__(f"this time has more than {most} fires; backfill it in parts")
