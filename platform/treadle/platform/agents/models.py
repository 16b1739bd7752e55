"""Table of agents."""

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from treadle.platform.db.metadata import tenant_table

agents = tenant_table(
    "agents",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("version", Text, nullable=False),
    # Where the template came from: `own`, `bundled`, or `text` (kept with the agent alone).
    Column("origin", Text, nullable=False),
    # The range of versions whose newest it runs; null where it is pinned to one.
    Column("follows", Text),
    Column("sha256", LargeBinary, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("connections", JSONB, nullable=False),
    Column("triggers", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
    # E-mail address of the member who made it; empty where there is none.
    Column("owner", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("workspace_id", "name"),
    ForeignKeyConstraint(
        ["workspace_id", "sha256"], ["template_texts.workspace_id", "template_texts.sha256"]
    ),
    Index(None, "workspace_id", "template"),
)
