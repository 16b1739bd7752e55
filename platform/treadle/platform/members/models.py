"""Table of members."""

from sqlalchemy import Column, DateTime, Text, UniqueConstraint, Uuid, func

from treadle.platform.db.metadata import tenant_table

members = tenant_table(
    "members",
    Column("id", Uuid, nullable=False),
    # In lower case: two spellings are one person.
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
    UniqueConstraint("workspace_id", "email"),
)
