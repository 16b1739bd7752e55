"""Tables of batches and their rows."""

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    Text,
    Uuid,
    func,
)

from treadle.platform.db.metadata import tenant_table

batches = tenant_table(
    "batches",
    Column("id", Uuid, nullable=False),
    Column("agent_id", Uuid, nullable=False),
    # The agent's name when the batch was made.
    Column("agent", Text, nullable=False),
    # `csv` or `ndjson`, as it was sent.
    Column("format", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
)

batch_rows = tenant_table(
    "batch_rows",
    Column("batch_id", Uuid, nullable=False),
    # From 0, in the order of the file.
    Column("number", Integer, nullable=False),
    # As it was sent: a CSV row's cells by column, or a line's object.
    Column("row", JSON, nullable=False),
    # The newest run; null where the row gives no valid inputs.
    Column("run_id", Uuid),
    # Of the first run: a retry's effects keep their keys.
    Column("root_id", Uuid),
    Column("error", Text),
    ForeignKeyConstraint(
        ["workspace_id", "batch_id"],
        ["batches.workspace_id", "batches.id"],
        ondelete="CASCADE",
        name="fk_batch_rows_batch",
    ),
    key=("batch_id", "number"),
)
