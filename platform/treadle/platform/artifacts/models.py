"""Table of artifacts; their content lies in `blobs`."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)

from treadle.platform.db.metadata import tenant_table

artifacts = tenant_table(
    "artifacts",
    Column("id", Uuid, nullable=False),
    Column("run_id", Uuid, nullable=False),
    # The path of the step that made it.
    Column("path", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # A step that is run again after a crash finds the artifact it already made.
    UniqueConstraint("workspace_id", "run_id", "path", "name", "sha256"),
    ForeignKeyConstraint(["workspace_id", "sha256"], ["blobs.workspace_id", "blobs.sha256"]),
)
