"""Table of API keys: only a MAC of each is kept."""

from sqlalchemy import (
    ARRAY,
    Column,
    DateTime,
    ForeignKeyConstraint,
    LargeBinary,
    Text,
    Uuid,
    func,
)

from treadle.platform.db.metadata import tenant_table

api_keys = tenant_table(
    "api_keys",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("mac", LargeBinary, nullable=False, unique=True),
    Column("last4", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    # Whose it is; their role bounds it.
    Column("member_id", Uuid),
    ForeignKeyConstraint(["workspace_id", "member_id"], ["members.workspace_id", "members.id"]),
)
