"""Limits of workspaces and templates, and a queue that can be read workspace by workspace."""

from alembic import op

from treadle.platform.db.rls import isolate, open_to_engine

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE limits (
    workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
        REFERENCES workspaces (id) ON DELETE CASCADE,
    template text NOT NULL,
    runs integer NOT NULL,
    PRIMARY KEY (workspace_id, template)
);
DROP INDEX ix_runs_queued;
CREATE INDEX ix_runs_queued ON runs (workspace_id, priority DESC, id) WHERE status = 'queued';
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLE)
    for statement in (*isolate("limits"), *open_to_engine("limits", privileges="SELECT")):
        op.execute(statement)
