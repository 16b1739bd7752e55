"""Weeks of run ids: an id begins with the time when it was made, so a range of ids is a week."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

WEEK = timedelta(days=7)
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Week:
    """A week that begins on a Monday, 00:00 UTC."""

    start: datetime

    @classmethod
    def of(cls, at: datetime) -> "Week":
        """The week of a time."""
        return cls(_MONDAY + (at - _MONDAY) // WEEK * WEEK)

    @classmethod
    def named(cls, suffix: str) -> "Week":
        """Read a suffix back; raises `ValueError`."""
        return cls(datetime.strptime(suffix, "%Y%m%d").replace(tzinfo=UTC))

    @property
    def suffix(self) -> str:
        """As partitions are named: `20261123`."""
        return self.start.strftime("%Y%m%d")

    @property
    def end(self) -> datetime:
        """When the next begins."""
        return self.start + WEEK

    @property
    def first_id(self) -> UUID:
        """No id of this week is smaller."""
        return first_id(self.start)

    @property
    def last_id(self) -> UUID:
        """Every id of this week is smaller."""
        return first_id(self.end)


def weeks_from(at: datetime, count: int) -> Iterator[Week]:
    """The week of a time and those that follow it."""
    week = Week.of(at)
    for number in range(count):
        yield Week(week.start + number * WEEK)


def first_id(at: datetime) -> UUID:
    """No id that was made at a time or later is smaller."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
