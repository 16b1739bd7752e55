"""Tables of webhooks and of what is delivered to them."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from treadle.platform.db.metadata import tenant_table

webhooks = tenant_table(
    "webhooks",
    Column("id", Uuid, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    # Why it was disabled.
    Column("disabled_reason", Text),
    Column("kek_id", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
)

webhook_deliveries = tenant_table(
    "webhook_deliveries",
    # Also the message's `webhook-id`, at every attempt the same.
    Column("id", Uuid, nullable=False),
    Column("webhook_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    # The body as it is signed; that of an approval without the page's address.
    Column("payload", Text, nullable=False),
    # `pending`, `delivered`, `failed` (given up).
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # The next attempt; while one is under way, when another process may think it dead.
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Of each attempt: when, what was answered or went wrong, how long it took.
    Column("tries", JSONB, nullable=False, server_default=text("'[]'")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["workspace_id", "webhook_id"],
        ["webhooks.workspace_id", "webhooks.id"],
        ondelete="CASCADE",
        name="fk_webhook_deliveries_webhook",
    ),
    Index("ix_webhook_deliveries_webhook", "workspace_id", "webhook_id", "id"),
    Index("ix_webhook_deliveries_due", "next_at", postgresql_where=text("status = 'pending'")),
)
"""Rows are inserted by triggers on `runs` and `waits`, in the transaction of what they tell: none
is lost, and who has no webhooks pays for one look at an empty index."""
