"""Tables of usage: entries as they come, and days."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.schema import SchemaItem

from treadle.platform.db.metadata import CURRENT_WORKSPACE, metadata, tenant_table


def _counts() -> list[SchemaItem]:
    return [
        # Empty where there is none, as parts of the key of days.
        Column("agent", Text, nullable=False),
        Column("template", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("runs", BigInteger, nullable=False),
        Column("steps", BigInteger, nullable=False),
        Column("model_calls", BigInteger, nullable=False),
        Column("input_tokens", BigInteger, nullable=False),
        Column("output_tokens", BigInteger, nullable=False),
        Column("cached_tokens", BigInteger, nullable=False),
        # USD; null where no price is known.
        Column("cost_usd", Double),
    ]


usage_entries = Table(
    "usage_entries",
    metadata,
    Column(
        "workspace_id",
        Uuid,
        ForeignKey("workspaces.id", ondelete="CASCADE"),
        nullable=False,
        server_default=text(CURRENT_WORKSPACE),
    ),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    *_counts(),
)
"""What single commits used; no key and no index, because rows stay for seconds."""

usage_daily = tenant_table(
    "usage_daily",
    Column("day", Date, nullable=False),
    *_counts(),
    key=("day", "agent", "template", "model"),
)
"""Days are those of UTC."""
