"""What the service answers about schedules, hooks, webhooks and batches."""

from collections.abc import Mapping
from datetime import datetime

from treadle.platform.client.models import Answer, Object


class Schedule(Answer):
    """An agent that starts by the clock; `failures` counts runs in a row that did not succeed."""

    id: str
    agent: str
    cron: str | None = None
    at: datetime | None = None
    every: str | None = None
    timezone: str
    inputs: Object
    overlap: str
    catchup: str
    jitter: str | None = None
    enabled: bool
    disabled_reason: str | None = None
    next_at: datetime | None = None
    failures: int = 0


class NextFires(Answer):
    """The next instants of a schedule."""

    items: tuple[datetime, ...]


class Fire(Answer):
    """What became of an instant: started, queued, skipped or refused."""

    at: datetime
    outcome: str
    run: str | None = None
    reason: str | None = None


class Hook(Answer):
    """A webhook trigger that an agent took."""

    id: str
    agent: str
    url: str


class HookEvent(Answer):
    """What a hook received, and the run it started."""

    id: str
    message_id: str
    received_at: datetime
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: str
    run: str | None = None
    error: str | None = None


class Received(Answer):
    """The run that a payload started."""

    run: str
    event: str
    repeated: bool


class Webhook(Answer):
    """Where events are sent; the secret is known where it was made."""

    id: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None = None
    secret: str | None = None


class Delivery(Answer):
    """One event on its way to one webhook: pending, delivered or failed."""

    id: str
    type: str
    status: str
    attempts: int
    payload: str
    created_at: datetime


class Redelivered(Answer):
    """How many deliveries are sent again."""

    count: int


class Batch(Answer):
    """One run per row; `counts` has the rows by status."""

    id: str
    agent: str
    status: str
    total: int
    counts: Mapping[str, int]
    created_at: datetime
