"""When schedules fire: exact instants, both nights of the year on which clocks are turned."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.platform.schedules.errors import ScheduleInvalid
from treadle.platform.schedules.timing import Timing, check_timing, read_zone

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
NIGHTS = {
    "Europe/Berlin": (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)),
    "America/New_York": (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 10, 4, tzinfo=UTC), datetime(2026, 4, 5, tzinfo=UTC)),
}


def fires(zone: str, cron: str, after: str, count: int) -> list[str]:
    timing = Timing(ZoneInfo(zone), cron=cron)
    found = timing.instants(datetime.fromisoformat(after))
    return [timing.show(instant) for instant in islice(found, count)]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        (
            "Europe/Berlin",
            "*/30 2 * * *",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"],
        ),
        (
            "Europe/Berlin",
            "*/30 2 * * *",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:00:00+01:00"],
        ),
        (
            "Europe/Berlin",
            "0 * * * *",
            "2026-03-29T00:30:00Z",
            ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"],
        ),
        (
            "Europe/Berlin",
            "0 * * * *",
            "2026-10-24T23:30:00Z",
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
        ),
        (
            "America/New_York",
            "15 2 * * *",
            "2026-03-07T12:00:00Z",
            ["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"],
        ),
        (
            "America/New_York",
            "15 1 * * *",
            "2026-10-31T12:00:00Z",
            ["2026-11-01T01:15:00-04:00", "2026-11-02T01:15:00-05:00"],
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03T12:00:00Z",
            ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04T04:00:00Z",
            ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
        ),
        (
            "Australia/Lord_Howe",
            "0 */2 * * *",
            "2026-04-04T14:30:00Z",
            ["2026-04-05T02:00:00+10:30", "2026-04-05T04:00:00+10:30"],
        ),
    ],
)
def test_nights_on_which_clocks_are_turned(
    zone: str, cron: str, after: str, expected: list[str]
) -> None:
    assert fires(zone, cron, after, len(expected)) == expected


def test_what_fired_in_the_first_of_two_hours_is_not_due_in_the_second() -> None:
    in_the_second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    timing = Timing(ZoneInfo("Europe/Berlin"), cron="30 2 * * *")
    assert timing.after(in_the_second) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_looking_again_from_any_minute_gives_the_same_instants() -> None:
    for zone, nights in NIGHTS.items():
        for night in nights:
            for cron in ("15,45 1-2 * * *", "*/20 * * * *", "10 */2 * * *"):
                timing = Timing(ZoneInfo(zone), cron=cron)
                first, last = night - timedelta(hours=18), night + timedelta(hours=12)
                whole = timing.between(first, last, most=1000)
                stepped: list[datetime] = []
                moment = first - timedelta(minutes=1)
                while moment <= last:
                    if (found := timing.after(moment)) is not None and found not in stepped:
                        stepped.append(found)
                    moment += timedelta(minutes=7)
                assert [at for at in stepped if at <= last] == whole, (zone, cron)


@st.composite
def cron_lines(draw: st.DrawFn) -> str:
    minute = draw(st.sampled_from(["0", "30", "*/15", "7,52", "*", "10-20/5"]))
    hour = draw(st.sampled_from(["*", "*/2", "2", "1,2", "0-3", "3", "23"]))
    day = draw(st.sampled_from(["*", "*", "25", "1-7"]))
    weekday = draw(st.sampled_from(["*", "*", "0", "1-5", "SUN"]))
    return f"{minute} {hour} {day} * {weekday}"


def by_every_minute(zone: ZoneInfo, line: str, first: datetime, last: datetime) -> list[datetime]:
    """The rule told the other way round: each minute is asked whether it fires."""
    follows_wall = not line.split()[1].startswith("*")
    found: set[datetime] = set()
    minute = first
    while minute <= last:
        local = minute.astimezone(zone)
        is_again = local.fold == 1
        walls = [local.replace(tzinfo=None, fold=0)]
        before = (minute - timedelta(minutes=1)).astimezone(zone)
        left_out = walls[0] - before.replace(tzinfo=None, fold=0) - timedelta(minutes=1)
        if follows_wall and left_out > timedelta():
            steps = left_out // timedelta(minutes=1)
            walls += [walls[0] - timedelta(minutes=n + 1) for n in range(steps)]
        if any(fits(line, wall) for wall in walls) and not (follows_wall and is_again):
            found.add(minute)
        minute += timedelta(minutes=1)
    return sorted(found)


def fits(line: str, wall: datetime) -> bool:
    sim = CronSim(line, wall)
    return (
        wall.minute in sim.minutes
        and wall.hour in sim.hours
        and wall.month in sim.months
        and sim.match_day(wall.date())
    )


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(zone=st.sampled_from(ZONES), line=cron_lines(), night=st.integers(0, 1))
def test_a_rule_fires_at_the_minutes_that_fit_it(zone: str, line: str, night: int) -> None:
    middle = NIGHTS[zone][night]
    first, last = middle - timedelta(hours=20), middle + timedelta(hours=16)
    info = ZoneInfo(zone)
    expected = by_every_minute(info, line, first, last)
    assert Timing(info, cron=line).between(first, last, most=10_000) == expected


def test_a_span_is_counted_from_the_epoch() -> None:
    timing = Timing(UTC, every=timedelta(minutes=15))
    found = islice(timing.instants(datetime(2026, 1, 1, 7, 1, tzinfo=UTC)), 2)
    assert [at.isoformat() for at in found] == [
        "2026-01-01T07:15:00+00:00",
        "2026-01-01T07:30:00+00:00",
    ]


def test_the_newest_of_a_long_time_are_found_without_walking_through_it() -> None:
    timing = Timing(UTC, every=timedelta(seconds=1))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    found = timing.between(datetime(2016, 1, 1, tzinfo=UTC), now, most=3)
    assert found == [now - timedelta(seconds=2), now - timedelta(seconds=1), now]


def test_a_single_instant_comes_once() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    timing = Timing(UTC, at=at)
    assert timing.after(at - timedelta(seconds=1)) == at
    assert timing.after(at) is None


@pytest.mark.parametrize(
    ("timing", "field", "reason"),
    [
        (Timing(UTC), "cron", "exactly one"),
        (Timing(UTC, cron="* * * * *", every=timedelta(1)), "cron", "exactly one"),
        (Timing(UTC, cron="0 0 30 2 *"), "cron", "Bad day-of-month"),
        (Timing(UTC, cron="0 0 0 * * *"), "cron", "5 fields"),
        (Timing(UTC, cron="61 * * * *"), "cron", "Bad minute"),
        (Timing(UTC, cron="0 0 */31 2 1#5"), "cron", "never fires"),
        (Timing(UTC, every=timedelta(milliseconds=500)), "every", "at least 1s"),
        (Timing(UTC, at=datetime(2020, 1, 1, tzinfo=UTC)), "at", "past"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(timing: Timing, field: str, reason: str) -> None:
    with pytest.raises(ScheduleInvalid, match=reason) as refused:
        check_timing(timing, datetime(2026, 1, 1, tzinfo=UTC))
    assert refused.value.field == field


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="unknown time zone 'Mars/Base'"):
        read_zone("Mars/Base")
