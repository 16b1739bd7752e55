"""Table of cached results."""

from sqlalchemy import Column, DateTime, Index, Text

from treadle.platform.db.metadata import tenant_table

step_cache = tenant_table(
    "step_cache",
    # Digest of the definition and the rendered inputs.
    Column("key", Text, nullable=False),
    # JSON as text: jsonb refuses the character U+0000, which a result may hold.
    Column("value", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("ix_step_cache_expires_at", "workspace_id", "expires_at"),
    key=("key",),
)
