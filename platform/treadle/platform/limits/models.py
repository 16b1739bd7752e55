"""Table of the limits."""

from sqlalchemy import Column, ForeignKey, Integer, PrimaryKeyConstraint, Table, Text, Uuid, text

from treadle.platform.db.metadata import CURRENT_WORKSPACE, metadata

limits = Table(
    "limits",
    metadata,
    Column(
        "workspace_id",
        Uuid,
        ForeignKey("workspaces.id", ondelete="CASCADE"),
        nullable=False,
        server_default=text(CURRENT_WORKSPACE),
    ),
    # A template's name; empty for the workspace as a whole.
    Column("template", Text, nullable=False),
    # How many runs may be at work at a time.
    Column("runs", Integer, nullable=False),
    PrimaryKeyConstraint("workspace_id", "template"),
)
"""A workspace without a row here is not limited. Read by whoever claims runs (`engine.turns`)."""
