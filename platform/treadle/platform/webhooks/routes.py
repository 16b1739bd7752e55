"""`/v1/webhooks`."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Response

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.connections.vault import Place
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id, parse_id
from treadle.platform.errors import NotFound
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Transaction, Wired, api_router, needs
from treadle.platform.webhooks.courier import SECRET
from treadle.platform.webhooks.repository import (
    Delivery,
    Webhook,
    delete_webhook,
    get_webhook,
    insert_webhook,
    list_deliveries,
    list_webhooks,
    renew_deliveries,
)
from treadle.platform.webhooks.schemas import (
    DeliveryView,
    NewWebhook,
    Redeliver,
    Redelivered,
    TryView,
    WebhookView,
)
from treadle.platform.webhooks.signature import new_secret

router = api_router(tags=["webhooks"])

Reader = Annotated[Caller, needs(Scope.WORKSPACE_READ)]
Writer = Annotated[Caller, needs(Scope.WORKSPACE_WRITE)]


@router.post("/v1/webhooks", status_code=HTTPStatus.CREATED)
async def create(body: NewWebhook, tx: Transaction, services: Wired, caller: Writer) -> WebhookView:
    """Hear of events at an address of yours; the secret to check them with is shown once."""
    secret, identifier = new_secret(), new_id()
    webhook = Webhook(
        id=identifier,
        url=body.url,
        events=tuple(body.events),
        enabled=True,
        disabled_reason=None,
        sealed=services.vault.seal(secret, Place(caller.workspace, identifier, SECRET, version=1)),
        created_at=datetime.now(UTC),
    )
    await insert_webhook(tx, webhook, created_by=caller.key_id)
    return _show(webhook, secret)


@router.get("/v1/webhooks")
async def list_all(
    tx: Transaction, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[WebhookView]:
    """List webhooks, newest first."""
    rows = await list_webhooks(tx, before=read_id_cursor(cursor), limit=limit + 1)
    return make_page(rows, limit=limit, show=_show, position=lambda webhook: webhook.id)


@router.get("/v1/webhooks/{webhook}")
async def get(webhook: str, tx: Transaction, _: Reader) -> WebhookView:
    """Show a webhook."""
    return _show(await get_webhook(tx, parse_id("webhook", webhook)))


@router.delete("/v1/webhooks/{webhook}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete(webhook: str, tx: Transaction, _: Writer) -> None:
    """Delete a webhook; what was not delivered never is."""
    await delete_webhook(tx, parse_id("webhook", webhook))


@router.get("/v1/webhooks/{webhook}/deliveries")
async def get_deliveries(
    webhook: str, tx: Transaction, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[DeliveryView]:
    """List what was or will be sent to a webhook, newest first."""
    found = await get_webhook(tx, parse_id("webhook", webhook))
    before = read_id_cursor(cursor)
    rows = await list_deliveries(tx, found.id, before=before, limit=limit + 1)
    return make_page(rows, limit=limit, show=_show_delivery, position=lambda row: row.id)


@router.post(
    "/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver", status_code=HTTPStatus.ACCEPTED
)
async def redeliver_one(webhook: str, delivery: str, tx: Transaction, _: Writer) -> Redelivered:
    """Send a delivery again, under its first id."""
    return await _renew(tx, webhook, parse_id("delivery", delivery))


@router.post("/v1/webhooks/{webhook}/redeliver", status_code=HTTPStatus.ACCEPTED)
async def redeliver(
    webhook: str, tx: Transaction, _: Writer, body: Redeliver | None = None
) -> Redelivered:
    """Send one delivery again, or all that were given up."""
    named = None if body is None else body.delivery
    wanted = None if named is None else parse_id("delivery", named)
    return await _renew(tx, webhook, wanted)


async def _renew(tx: TenantConnection, webhook: str, delivery: UUID | None) -> Redelivered:
    found = await get_webhook(tx, parse_id("webhook", webhook))
    count = await renew_deliveries(tx, found.id, delivery)
    if delivery is not None and count == 0:
        raise NotFound("delivery", str(delivery))
    return Redelivered(count=count)


def _show(webhook: Webhook, secret: str | None = None) -> WebhookView:
    return WebhookView(
        id=str(webhook.id),
        url=webhook.url,
        events=list(webhook.events),
        enabled=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        created_at=webhook.created_at,
        secret=secret,
    )


def _show_delivery(delivery: Delivery) -> DeliveryView:
    is_pending = delivery.status == "pending"
    return DeliveryView.model_validate(
        {
            "id": str(delivery.id),
            "type": delivery.type,
            "status": delivery.status,
            "attempts": delivery.attempts,
            "next_at": delivery.next_at if is_pending else None,
            "tries": [TryView.model_validate(attempt) for attempt in delivery.tries],
            "payload": delivery.payload,
            "created_at": delivery.created_at,
        }
    )
