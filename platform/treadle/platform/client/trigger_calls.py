"""The calls about what starts runs and what hears of them: see `calls`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from pydantic import JsonValue

from treadle.platform.client.call import Call, body_of, file_bytes, given, nothing, once, page_of
from treadle.platform.client.models import Page
from treadle.platform.client.trigger_models import (
    Batch,
    Delivery,
    Fire,
    Hook,
    HookEvent,
    NextFires,
    Received,
    Redelivered,
    Schedule,
    Webhook,
)

Values = Mapping[str, JsonValue]
_SEND_FILE_S = 300.0


def _at(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def create_schedule(agent: str, fields: Values) -> Call[Schedule]:
    """Let an agent start by the clock: one of `cron`, `at` and `every`, and what else is wanted."""
    body: dict[str, JsonValue] = {"agent": agent, **fields}
    return Call("POST", "/v1/schedules", body_of(Schedule), json=body, headers=once())


def list_schedules(
    *, agent: str | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Page[Schedule]]:
    """List the schedules."""
    query = {"agent": agent, "limit": limit, "cursor": cursor}
    return Call("GET", "/v1/schedules", page_of(Schedule), query=query)


def get_schedule(schedule: str) -> Call[Schedule]:
    """Get a schedule."""
    return Call("GET", _at("schedules", schedule), body_of(Schedule))


def update_schedule(schedule: str, changes: Values) -> Call[Schedule]:
    """Change some fields of a schedule; `enabled` pauses it."""
    return Call("PATCH", _at("schedules", schedule), body_of(Schedule), json=dict(changes))


def delete_schedule(schedule: str) -> Call[None]:
    """Delete a schedule; the runs it started go on."""
    return Call("DELETE", _at("schedules", schedule), nothing)


def next_fires(schedule: str, *, n: int = 5) -> Call[NextFires]:
    """Tell when a schedule fires next."""
    return Call("GET", _at("schedules", schedule, "next"), body_of(NextFires), query={"n": n})


def list_fires(schedule: str, *, limit: int = 50, cursor: str | None = None) -> Call[Page[Fire]]:
    """List what became of a schedule's instants, newest first."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", _at("schedules", schedule, "fires"), page_of(Fire), query=query)


def backfill_schedule(
    schedule: str, first: datetime, last: datetime, *, overlap: str = "allow"
) -> Call[Page[Fire]]:
    """Fire what lies in a past time and has not fired yet."""
    body: dict[str, JsonValue] = {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "overlap": overlap,
    }
    path = _at("schedules", schedule, "backfill")
    return Call("POST", path, page_of(Fire), json=body, headers=once())


def list_hooks(*, limit: int = 50, cursor: str | None = None) -> Call[Page[Hook]]:
    """List the webhook triggers that agents took."""
    return Call("GET", "/v1/hooks", page_of(Hook), query={"limit": limit, "cursor": cursor})


def list_hook_events(
    hook: str, *, limit: int = 50, cursor: str | None = None
) -> Call[Page[HookEvent]]:
    """List what a hook received, newest first."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", _at("hooks", hook, "events"), page_of(HookEvent), query=query)


def replay_hook_event(hook: str, event: str) -> Call[Received]:
    """Start a new run from what a hook received before."""
    path = _at("hooks", hook, "events", event, "replay")
    return Call("POST", path, body_of(Received), headers=once())


def create_webhook(url: str, *, events: Sequence[str] | None = None) -> Call[Webhook]:
    """Hear of events, all of them unless some are named."""
    wanted: JsonValue = None if events is None else list(events)
    body = given(url=url, events=wanted)
    return Call("POST", "/v1/webhooks", body_of(Webhook), json=body, headers=once())


def list_webhooks(*, limit: int = 50, cursor: str | None = None) -> Call[Page[Webhook]]:
    """List the webhooks, without their secrets."""
    return Call("GET", "/v1/webhooks", page_of(Webhook), query={"limit": limit, "cursor": cursor})


def delete_webhook(webhook: str) -> Call[None]:
    """Delete a webhook; what was not delivered never is."""
    return Call("DELETE", _at("webhooks", webhook), nothing)


def list_deliveries(
    webhook: str, *, limit: int = 50, cursor: str | None = None
) -> Call[Page[Delivery]]:
    """List what was or will be sent to a webhook, newest first."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", _at("webhooks", webhook, "deliveries"), page_of(Delivery), query=query)


def redeliver(webhook: str, *, delivery: str | None = None) -> Call[Redelivered]:
    """Send one delivery again, or all that were given up."""
    path = _at("webhooks", webhook, "redeliver")
    body = given(delivery=delivery)
    return Call("POST", path, body_of(Redelivered), json=body, headers=once())


def create_batch(agent: str, content: bytes, *, media_type: str = "text/csv") -> Call[Batch]:
    """Run an agent once per row of a CSV (`text/csv`) or JSON-lines (`application/x-ndjson`)."""
    return Call(
        "POST",
        _at("agents", agent, "batches"),
        body_of(Batch),
        content=content,
        headers={"Content-Type": media_type, **once()},
        timeout_s=_SEND_FILE_S,
    )


def get_batch(batch: str) -> Call[Batch]:
    """Get how far a batch is."""
    return Call("GET", _at("batches", batch), body_of(Batch))


def get_batch_results(batch: str, *, media_type: str = "text/csv") -> Call[bytes]:
    """Get each row as it was sent, with its run, status and outputs."""
    path = _at("batches", batch, "results")
    headers = {"Accept": media_type}
    return Call("GET", path, file_bytes, headers=headers, timeout_s=_SEND_FILE_S)


def retry_batch(batch: str) -> Call[Batch]:
    """Start the rows of a batch that failed again."""
    return Call("POST", _at("batches", batch, "retry"), body_of(Batch), headers=once())
