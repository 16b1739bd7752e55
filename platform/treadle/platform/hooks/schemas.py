"""What hooks and their events look like."""

from datetime import datetime

from pydantic import BaseModel


class HookView(BaseModel):
    """A webhook trigger that an agent took; its secret was shown when it was made."""

    id: str
    agent: str
    url: str
    created_at: datetime


class HookEventView(BaseModel):
    """What a hook received, and the run it started; `error` says why there is none."""

    id: str
    message_id: str
    received_at: datetime
    headers: dict[str, str]
    query: dict[str, str]
    body: str
    run: str | None
    error: str | None
    replay_of: str | None


class ReceivedView(BaseModel):
    """The run that a request started; with `repeated` an earlier request had the same id.

    `id` and `run` are the run's.
    """

    id: str
    run: str
    event: str
    repeated: bool
