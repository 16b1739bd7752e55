"""Tables of uploaded files and of blobs: content by its digest, once per workspace."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    LargeBinary,
    Text,
    Uuid,
    func,
)

from treadle.platform.db.metadata import tenant_table

blobs = tenant_table(
    "blobs",
    Column("sha256", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    key=("sha256",),
)
"""Never shared between workspaces: whether a digest is known would tell one about another."""

files = tenant_table(
    "files",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
    ForeignKeyConstraint(["workspace_id", "sha256"], ["blobs.workspace_id", "blobs.sha256"]),
)
