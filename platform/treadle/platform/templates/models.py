"""Tables of templates: texts by their digest, and the versions and drafts that name them."""

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    Uuid,
    func,
    text,
)

from treadle.platform.db.metadata import tenant_table

template_texts = tenant_table(
    "template_texts",
    Column("sha256", LargeBinary, nullable=False),
    Column("text", Text, nullable=False),
    # Which texts its `template:` nodes mean since it was published; null where nothing locks them.
    Column("children", JSON),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    key=("sha256",),
)
"""Every text that a version, an agent or a run refers to, byte for byte as it was sent."""

template_versions = tenant_table(
    "template_versions",
    Column("id", Uuid, nullable=False),
    # Both in byte order, so that no locale interferes; `precedence` sorts as semver does.
    Column("name", Text(collation="C"), nullable=False),
    Column("version", Text, nullable=False),
    Column("precedence", Text(collation="C"), nullable=False),
    Column("draft", Boolean, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("labels", ARRAY(Text), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
    ForeignKeyConstraint(
        ["workspace_id", "sha256"], ["template_texts.workspace_id", "template_texts.sha256"]
    ),
    Index(
        "uq_template_versions_published",
        "workspace_id",
        "name",
        "version",
        unique=True,
        postgresql_where=text("NOT draft"),
    ),
    Index(
        "uq_template_versions_draft",
        "workspace_id",
        "name",
        unique=True,
        postgresql_where=text("draft"),
    ),
)
