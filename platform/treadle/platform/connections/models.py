"""Tables of connections and of their sealed secrets."""

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from treadle.platform.db.metadata import tenant_table

connections = tenant_table(
    "connections",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    # What is no secret: for `http` the way of authorisation and the hosts.
    Column("config", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
    UniqueConstraint("workspace_id", "name"),
)

connection_secrets = tenant_table(
    "connection_secrets",
    Column("connection_id", Uuid, nullable=False),
    Column("field", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["workspace_id", "connection_id"],
        ["connections.workspace_id", "connections.id"],
        ondelete="CASCADE",
    ),
    key=("connection_id", "field"),
)
