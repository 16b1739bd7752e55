"""Cached results of steps."""

from alembic import op

from treadle.platform.db.rls import isolate

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE step_cache (
    workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
        REFERENCES workspaces (id) ON DELETE CASCADE,
    key text NOT NULL,
    value text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, key)
)
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLE)
    op.execute("CREATE INDEX ix_step_cache_expires_at ON step_cache (workspace_id, expires_at)")
    for statement in isolate("step_cache"):
        op.execute(statement)
