"""What runs wait for, the runs that are steps of others, and pausing."""

from alembic import op

from treadle.platform.db.rls import isolate, open_to_engine

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE runs
    ADD COLUMN parent_id uuid,
    ADD COLUMN frame text NOT NULL DEFAULT '',
    ADD COLUMN children json,
    ADD COLUMN signals integer NOT NULL DEFAULT 0,
    ADD COLUMN is_paused boolean NOT NULL DEFAULT false;
CREATE INDEX ix_runs_parent_id ON runs (parent_id)
    WHERE parent_id IS NOT NULL AND finished_at IS NULL;
CREATE TABLE waits (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
        REFERENCES workspaces (id) ON DELETE CASCADE,
    run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind text NOT NULL,
    node text NOT NULL,
    path text NOT NULL,
    item json,
    until timestamptz,
    asked json,
    created_at timestamptz NOT NULL DEFAULT now(),
    answer json,
    answered_by text,
    answered_at timestamptz,
    timed_out boolean NOT NULL DEFAULT false,
    closed_at timestamptz
);
CREATE INDEX ix_waits_run_id ON waits (run_id);
CREATE INDEX ix_waits_approvals ON waits (workspace_id, created_at, id)
    WHERE kind = 'approval' AND answered_at IS NULL AND closed_at IS NULL;
CREATE INDEX ix_waits_children ON waits (id) WHERE kind = 'child' AND closed_at IS NULL;
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for statement in (
        *isolate("waits"),
        *open_to_engine("waits", privileges="SELECT, INSERT, UPDATE"),
    ):
        op.execute(statement)
