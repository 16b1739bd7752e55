"""Table of what processes count."""

from sqlalchemy import JSON, Column, DateTime, Table, Text, func

from treadle.platform.db.metadata import metadata

process_metrics = Table(
    "process_metrics",
    metadata,
    Column("process", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("content", JSON, nullable=False),
)
"""Of the installation, not of a workspace: no number tells of a tenant."""
