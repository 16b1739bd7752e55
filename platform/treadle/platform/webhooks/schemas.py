"""What webhooks and deliveries look like."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from treadle.integrations.egress import parse_url
from treadle.integrations.errors import ToolError
from treadle.platform.routing import Body


class EventType(StrEnum):
    """What a workspace can hear of."""

    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    APPROVAL_WAITING = "approval.waiting"
    SCHEDULE_DISABLED = "schedule.disabled"


def _is_url(value: str) -> str:
    try:
        parse_url(value)
    except ToolError as error:
        raise ValueError(error.message) from error
    return value


class NewWebhook(Body):
    """Where to send which events; all of them unless some are named."""

    url: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_is_url)]
    events: list[EventType] = Field(default=list(EventType), min_length=1)


class WebhookView(BaseModel):
    """A webhook; its `secret` is shown in the answer that made it."""

    id: str
    url: str
    events: list[EventType]
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    secret: str | None = None


class TryView(BaseModel):
    """One attempt: an answer's status, or what went wrong before there was one."""

    at: datetime
    status: int | None
    error: str | None
    milliseconds: int


class DeliveryView(BaseModel):
    """One event on its way to one webhook."""

    id: str
    type: EventType
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    next_at: datetime | None
    tries: list[TryView]
    payload: str
    created_at: datetime


class Redeliver(Body):
    """Which delivery to send again; without one all that were given up."""

    delivery: str | None = None


class Redelivered(BaseModel):
    """How many are sent again."""

    count: int
