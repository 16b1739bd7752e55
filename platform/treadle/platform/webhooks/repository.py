"""Queries on webhooks and deliveries."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Row, bindparam, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB

from treadle.agents.values import JsonObject
from treadle.platform.connections.vault import Sealed
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.errors import NotFound
from treadle.platform.webhooks.models import webhook_deliveries, webhooks
from treadle.platform.webhooks.schemas import EventType


@dataclass(frozen=True, slots=True)
class Webhook:
    """A stored webhook."""

    id: UUID
    url: str
    events: tuple[EventType, ...]
    enabled: bool
    disabled_reason: str | None
    sealed: Sealed
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored delivery; the columns are told in `models`."""

    id: UUID
    webhook_id: UUID
    type: EventType
    payload: str
    status: str
    attempts: int
    next_at: datetime
    tries: list[JsonObject]
    created_at: datetime


_ANNOUNCE = text("SELECT announce(:workspace, :event, :subject)").bindparams(
    bindparam("subject", type_=JSON)
)


async def announce(
    tx: TenantConnection, workspace: WorkspaceId, event: EventType, subject: JsonObject
) -> None:
    """Let the webhooks that want it hear of an event, if this transaction commits."""
    values = {"workspace": workspace, "event": event.value, "subject": subject}
    await tx.execute(_ANNOUNCE, values)


async def insert_webhook(tx: TenantConnection, webhook: Webhook, *, created_by: UUID) -> None:
    """Store a new webhook."""
    await tx.execute(
        webhooks.insert().values(
            id=webhook.id,
            url=webhook.url,
            events=[event.value for event in webhook.events],
            enabled=webhook.enabled,
            kek_id=webhook.sealed.kek_id,
            wrapped_key=webhook.sealed.wrapped_key,
            sealed=webhook.sealed.sealed,
            created_at=webhook.created_at,
            created_by=created_by,
        )
    )


async def get_webhook(tx: TenantConnection, webhook: UUID) -> Webhook:
    """Return a webhook; raises `NotFound`."""
    row = (await tx.execute(select(webhooks).where(webhooks.c.id == webhook))).one_or_none()
    if row is None:
        raise NotFound("webhook", str(webhook))
    return _read(row)


async def list_webhooks(tx: TenantConnection, *, before: UUID | None, limit: int) -> list[Webhook]:
    """Webhooks, newest first."""
    query = select(webhooks).order_by(webhooks.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(webhooks.c.id < before)
    return [_read(row) for row in await tx.execute(query)]


async def delete_webhook(tx: TenantConnection, webhook: UUID) -> None:
    """Delete a webhook and what was not delivered; raises `NotFound`."""
    result = await tx.execute(webhooks.delete().where(webhooks.c.id == webhook))
    if result.rowcount == 0:
        raise NotFound("webhook", str(webhook))


async def disable_webhook(tx: TenantConnection, webhook: UUID, *, reason: str) -> None:
    """Send nothing to a webhook any more."""
    query = webhooks.update().where(webhooks.c.id == webhook)
    await tx.execute(query.values(enabled=False, disabled_reason=reason))


async def list_deliveries(
    tx: TenantConnection, webhook: UUID, *, before: UUID | None, limit: int
) -> list[Delivery]:
    """A webhook's deliveries, newest first."""
    query = select(webhook_deliveries).where(webhook_deliveries.c.webhook_id == webhook)
    if before is not None:
        query = query.where(webhook_deliveries.c.id < before)
    rows = await tx.execute(query.order_by(webhook_deliveries.c.id.desc()).limit(limit))
    return [read_delivery(row) for row in rows]


async def renew_deliveries(tx: TenantConnection, webhook: UUID, delivery: UUID | None) -> int:
    """Send a delivery again, or all that were given up; returns how many."""
    table = webhook_deliveries
    wanted = table.c.status == "failed" if delivery is None else table.c.id == delivery
    query = table.update().where(table.c.webhook_id == webhook, wanted)
    result = await tx.execute(query.values(status="pending", attempts=0, next_at=func.now()))
    return result.rowcount


async def record_try(
    tx: TenantConnection,
    delivery: UUID,
    attempt: JsonObject,
    *,
    status: str,
    pause: timedelta,
) -> None:
    """Note how an attempt went; `pause` leads to the next one."""
    table = webhook_deliveries
    query = table.update().where(table.c.id == delivery)
    tries = table.c.tries.op("||")(literal([attempt], JSONB))
    await tx.execute(query.values(status=status, next_at=func.now() + pause, tries=tries))


# Any: SQLAlchemy knows no types of columns declared outside its ORM.
def read_delivery(row: Row[*tuple[Any, ...]]) -> Delivery:
    """A delivery from its row."""
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        type=EventType(row.type),
        payload=row.payload,
        status=row.status,
        attempts=row.attempts,
        next_at=row.next_at,
        tries=row.tries,
        created_at=row.created_at,
    )


def _read(row: Row[*tuple[Any, ...]]) -> Webhook:  # Any: as above
    return Webhook(
        id=row.id,
        url=row.url,
        events=tuple(EventType(event) for event in row.events),
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        sealed=Sealed(row.kek_id, row.wrapped_key, row.sealed),
        created_at=row.created_at,
    )
