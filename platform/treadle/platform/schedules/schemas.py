"""What a schedule looks like, going in and coming out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, JsonValue, StringConstraints

from treadle.agents.nodes.durations import PATTERN, parse_duration
from treadle.platform.routing import Body


def _has_offset(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs an offset, such as 2026-01-31T07:00:00Z")
    return value


def _is_duration(value: str) -> str:
    parse_duration(value)
    return value


Moment = Annotated[datetime, AfterValidator(_has_offset)]
Span = Annotated[
    str,
    AfterValidator(_is_duration),
    Field(json_schema_extra={"pattern": PATTERN, "examples": ["30s", "15m", "1d"]}),
]
CronLine = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ZoneName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Overlap = Literal["skip", "queue", "cancel", "allow"]
Catchup = Literal["none", "latest", "all"]
Outcome = Literal["started", "queued", "skipped", "refused"]


class NewSchedule(Body):
    """A schedule to make: exactly one of `cron`, `at` and `every`."""

    agent: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    cron: CronLine | None = None
    at: Moment | None = None
    every: Span | None = None
    timezone: ZoneName = "UTC"
    inputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    overlap: Overlap = Field(default="skip", description="When a run of it still goes on.")
    catchup: Catchup = Field(default="none", description="Of instants that were missed.")
    jitter: Span | None = Field(default=None, description="Start up to this much later.")
    enabled: bool = True


class ScheduleChange(Body):
    """What to change about a schedule; what is absent stays.

    One of `cron`, `at` and `every` takes the place of what was there.
    """

    cron: CronLine | None = None
    at: Moment | None = None
    every: Span | None = None
    timezone: ZoneName | None = None
    inputs: dict[str, JsonValue] | None = None
    overlap: Overlap | None = None
    catchup: Catchup | None = None
    jitter: Span | None = None
    enabled: bool | None = None


class ScheduleView(BaseModel):
    """A schedule. `failures` counts runs in a row that did not succeed."""

    id: str
    agent: str
    cron: str | None
    at: str | None
    every: str | None
    timezone: str
    inputs: dict[str, JsonValue]
    overlap: Overlap
    catchup: Catchup
    jitter: str | None
    enabled: bool
    disabled_reason: str | None
    next_at: str | None
    failures: int
    trigger: str | None
    created_at: datetime
    updated_at: datetime


class NextFires(BaseModel):
    """The next instants, RFC 3339 with the offset of the schedule's time zone."""

    items: list[str]
    next: None = None


class Backfill(Body):
    """A time whose instants are fired now, both ends included; those that fired do not again."""

    from_: Moment = Field(alias="from")
    to: Moment
    overlap: Literal["allow", "queue"] = Field(
        default="allow", description="All at once, or one after the other."
    )


class FireView(BaseModel):
    """What became of an instant."""

    at: str
    outcome: Outcome
    run: str | None
    reason: str | None


class Backfilled(BaseModel):
    """What a backfill fired, oldest first."""

    items: list[FireView]
    next: None = None
