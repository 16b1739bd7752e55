"""Table of workspaces."""

from sqlalchemy import Column, DateTime, Table, Text, Uuid, func

from treadle.platform.db.metadata import metadata

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
