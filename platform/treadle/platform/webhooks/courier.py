"""The loop that sends what is due. Any number of processes may run it; each takes its own.

A delivery that was taken comes back if its process dies: it may arrive twice, under the same id.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from treadle.agents.values import JsonObject
from treadle.integrations.egress import GuardedClient, Rules
from treadle.integrations.errors import ToolError
from treadle.platform.connections.errors import SecretUnreadable
from treadle.platform.connections.vault import Place, Vault
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.errors import NotFound
from treadle.platform.log import get_log
from treadle.platform.loops import keep_going
from treadle.platform.webhooks.repository import (
    Delivery,
    Webhook,
    disable_webhook,
    get_webhook,
    read_delivery,
    record_try,
)
from treadle.platform.webhooks.schemas import EventType
from treadle.platform.webhooks.signature import sign

SECRET = "secret"  # noqa: S105 - the field's name in the vault
LOOK_S = 1.0
MOST_AT_ONCE = 32
PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
)
"""Before the second attempt, the third, …: three days in all, then it is given up."""

_SPREAD = 0.2
_GONE = 410
_RULES = Rules(read_s=15, total_s=20, max_redirects=0, max_bytes=65536, max_wire_bytes=65536)

log = get_log(__name__)

# For two minutes nobody else takes it: longer than any attempt lasts.
_TAKE = text(
    """
    WITH due AS (
        SELECT workspace_id, id FROM webhook_deliveries
        WHERE status = 'pending' AND next_at <= now()
        ORDER BY next_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_deliveries d SET attempts = d.attempts + 1,
        next_at = now() + interval '2 minutes'
    FROM due WHERE d.workspace_id = due.workspace_id AND d.id = due.id
    RETURNING d.*
    """
)


class Courier:
    """Delivers events.

    Args:
        page_url: Of an approval. It lets whoever has it decide, so it is made when it is sent and
            stands neither in the database nor in the log of deliveries.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        guard: GuardedClient,
        *,
        page_url: Callable[[UUID], str],
    ) -> None:
        self._database = database
        self._vault = vault
        self._guard = guard
        self._page_url = page_url
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = keep_going(self._work, name="courier")

    async def stop(self) -> None:
        """Stop; what is under way is sent again by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def deliver_due(self) -> int:
        """Send what is due now; returns how many attempts that were."""
        async with self._database.as_engine() as connection:
            rows = (await connection.execute(_TAKE, {"most": MOST_AT_ONCE})).all()
        await asyncio.gather(
            *(self._deliver(WorkspaceId(row.workspace_id), read_delivery(row)) for row in rows)
        )
        return len(rows)

    async def _deliver(self, workspace: WorkspaceId, delivery: Delivery) -> None:
        try:
            await self._attempt(workspace, delivery)
        except NotFound:
            log.info("webhook.deleted", webhook=str(delivery.webhook_id))
        except (DBAPIError, OSError) as error:  # it is taken again in two minutes
            log.warning("webhook.not_recorded", delivery=str(delivery.id), reason=str(error))

    async def _work(self) -> None:
        while True:
            try:
                sent = await self.deliver_due()
            except (DBAPIError, OSError) as error:
                log.warning("webhooks.courier_failed", reason=str(error))
                sent = 0
            if sent < MOST_AT_ONCE:
                await asyncio.sleep(LOOK_S)

    async def _attempt(self, workspace: WorkspaceId, delivery: Delivery) -> None:
        async with self._database.tenant(workspace) as tx:
            webhook = await get_webhook(tx, delivery.webhook_id)
        started = time.monotonic()
        status, error = await self._send(workspace, webhook, delivery)
        attempt: JsonObject = {
            "at": datetime.now(UTC).isoformat(),
            "status": status,
            "error": error,
            "milliseconds": round((time.monotonic() - started) * 1000),
        }
        async with self._database.tenant(workspace) as tx:
            outcome, pause = _outcome(delivery, is_delivered=error is None)
            await record_try(tx, delivery.id, attempt, status=outcome, pause=pause)
            if status == _GONE:
                await disable_webhook(tx, webhook.id, reason="it answered 410 Gone")

    async def _send(
        self, workspace: WorkspaceId, webhook: Webhook, delivery: Delivery
    ) -> tuple[int | None, str | None]:
        """The answer's status, and what went wrong."""
        if not webhook.enabled:
            return None, "the webhook is disabled"
        message, timestamp, body = str(delivery.id), int(time.time()), self._body(delivery)
        try:
            place = Place(workspace, webhook.id, SECRET, version=1)
            secret = self._vault.open(webhook.sealed, place)
            response = await self._guard.post(
                webhook.url,
                content=body,
                headers={
                    "Content-Type": "application/json",
                    "webhook-id": message,
                    "webhook-timestamp": str(timestamp),
                    "webhook-signature": sign(
                        secret, message=message, timestamp=timestamp, body=body
                    ),
                },
                extensions=_RULES.extensions(),
            )
        except (ToolError, SecretUnreadable) as error:
            return None, error.message.replace("\0", "")
        is_fine = response.is_success
        return response.status_code, None if is_fine else f"answered {response.status_code}"

    def _body(self, delivery: Delivery) -> bytes:
        """The same at every attempt."""
        if delivery.type is not EventType.APPROVAL_WAITING:
            return delivery.payload.encode()
        event = json.loads(delivery.payload)
        event["data"]["url"] = self._page_url(UUID(event["data"]["id"]))
        return json.dumps(event).encode()


def _outcome(delivery: Delivery, *, is_delivered: bool) -> tuple[str, timedelta]:
    if is_delivered:
        return "delivered", timedelta()
    if delivery.attempts > len(PAUSES):
        return "failed", timedelta()
    # Spread, so that a receiver that was down is not met by all at once.
    spread = 1 + random.uniform(-_SPREAD, _SPREAD)  # noqa: S311 - no secret depends on it
    return "pending", PAUSES[delivery.attempts - 1] * spread
