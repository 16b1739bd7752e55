"""Batches and their rows."""

from alembic import op

from treadle.platform.db.rls import isolate

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_WORKSPACE = """workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
    REFERENCES workspaces (id) ON DELETE CASCADE"""

_TABLES = f"""
CREATE TABLE batches (
    {_WORKSPACE},
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    agent text NOT NULL,
    format text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id)
);
CREATE TABLE batch_rows (
    {_WORKSPACE},
    batch_id uuid NOT NULL,
    number integer NOT NULL,
    row json NOT NULL,
    run_id uuid,
    root_id uuid,
    error text,
    PRIMARY KEY (workspace_id, batch_id, number),
    CONSTRAINT fk_batch_rows_batch FOREIGN KEY (workspace_id, batch_id)
        REFERENCES batches (workspace_id, id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for statement in (*isolate("batches"), *isolate("batch_rows")):
        op.execute(statement)
