"""When a schedule fires: cron lines in a time zone, fixed spans, single instants.

A cron line that names hours follows the wall clock: an hour that spring leaves out fires at the
first valid instant, an hour that autumn repeats fires the first time only. A line whose hours begin
with `*` follows real time: it fires in both hours of an autumn night.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from treadle.platform.schedules.errors import ScheduleInvalid

SHORTEST = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_NEAR = timedelta(hours=3)  # no zone turns its clocks by more, but for days left out
# Looking back from now, so that a rule of every second is not walked through for a whole year.
_LOOKS = [timedelta(minutes=10), timedelta(hours=6), timedelta(days=7), timedelta(days=400)]


@dataclass(frozen=True, slots=True)
class Timing:
    """Exactly one of cron, every and at."""

    zone: tzinfo
    cron: str | None = None
    every: timedelta | None = None
    at: datetime | None = None

    def after(self, moment: datetime) -> datetime | None:
        """The first instant after a moment; `None` if there is none."""
        return next(self.instants(moment), None)

    def instants(self, after: datetime) -> Iterator[datetime]:
        """Every instant after a moment, in UTC, in order."""
        if self.cron is not None:
            return _of_cron(self.cron, after, self.zone)
        if self.every is not None:
            return _of_span(self.every, after)
        return iter([self.at.astimezone(UTC)] if self.at is not None and self.at > after else [])

    def between(self, first: datetime, last: datetime, *, most: int) -> list[datetime]:
        """The newest instants of a time, both ends included; oldest first."""
        for look in _LOOKS:
            if last - look <= first:
                break
            found = self._between(last - look, last, most)
            if len(found) == most:
                return found
        return self._between(first, last, most)

    def _between(self, first: datetime, last: datetime, most: int) -> list[datetime]:
        found = takewhile(lambda instant: instant <= last, self.instants(first - _TICK))
        return list(deque(found, maxlen=most))

    def show(self, instant: datetime) -> str:
        """An instant as RFC 3339, with the offset that this zone has then."""
        return instant.astimezone(self.zone).isoformat()


def read_zone(name: str) -> tzinfo:
    """A time zone by its name; raises `ScheduleInvalid`."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"unknown time zone {name[:60]!r}; use a name such as Europe/Berlin"
        raise ScheduleInvalid("timezone", message) from None


def check_timing(timing: Timing, now: datetime) -> None:
    """Raise `ScheduleInvalid` for a rule that is wrong or will never fire."""
    given = [rule for rule in (timing.cron, timing.every, timing.at) if rule is not None]
    if len(given) != 1:
        raise ScheduleInvalid("cron", "a schedule has exactly one of `cron`, `at` and `every`")
    if timing.every is not None and timing.every < SHORTEST:
        raise ScheduleInvalid("every", "`every` is at least 1s")
    if timing.at is not None and timing.at <= now:
        raise ScheduleInvalid("at", f"`at` is past: it is {now.isoformat()} now")
    if timing.cron is not None:
        _check_cron(timing.cron)
        if timing.after(now) is None:
            raise ScheduleInvalid("cron", f"the cron line {timing.cron!r} never fires")


def _check_cron(line: str) -> None:
    if len(line.split()) != 5:
        message = 'a cron line has 5 fields: minute, hour, day, month, weekday: "0 7 * * 1"'
        raise ScheduleInvalid("cron", message)
    try:
        CronSim(line, _EPOCH)
    except CronSimError as error:
        raise ScheduleInvalid("cron", f"wrong cron line {line[:100]!r}: {error}") from None


def _of_cron(line: str, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    follows_wall = not line.split()[1].startswith("*")
    instants = _by_wall if follows_wall else _by_real_time
    newest = after
    for instant in instants(CronSim(line, _begin(after, zone)), zone):
        if instant > newest:
            newest = instant
            yield instant


def _begin(after: datetime, zone: tzinfo) -> datetime:
    """The wall's time from which to count: earlier where the wall was or will be turned back."""
    near = (after - _NEAR, after, after + _NEAR)
    is_turned = len({moment.astimezone(zone).utcoffset() for moment in near}) > 1
    return (after - _NEAR if is_turned else after).astimezone(zone).replace(tzinfo=None, fold=0)


def _by_wall(walls: Iterable[datetime], zone: tzinfo) -> Iterator[datetime]:
    """Each wall time once: the first of two; where there is none, the next that is valid."""
    for wall in walls:
        valid = wall
        while _is_left_out(valid, zone):
            valid += timedelta(minutes=1)
        yield _instant(valid, zone, fold=0)


def _by_real_time(walls: Iterable[datetime], zone: tzinfo) -> Iterator[datetime]:
    """Each wall time as often as there is one; those that come twice wait for their turn."""
    again: deque[datetime] = deque()
    for wall in walls:
        if _is_left_out(wall, zone):
            continue
        first, second = (_instant(wall, zone, fold=fold) for fold in (0, 1))
        while again and again[0] < first:
            yield again.popleft()
        yield first
        if second != first:
            again.append(second)


def _instant(wall: datetime, zone: tzinfo, *, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _is_left_out(wall: datetime, zone: tzinfo) -> bool:
    return _instant(wall, zone, fold=0).astimezone(zone).replace(tzinfo=None, fold=0) != wall


def _of_span(span: timedelta, after: datetime) -> Iterator[datetime]:
    count = (after - _EPOCH) // span + 1
    while True:
        yield _EPOCH + count * span
        count += 1
