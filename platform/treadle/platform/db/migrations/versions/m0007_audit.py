"""The audit log: append-only for the role of requests."""

from alembic import op

from treadle.platform.db.rls import APP_ROLE, isolate

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE audit_log (
    workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
        REFERENCES workspaces (id) ON DELETE CASCADE,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    key_id uuid,
    action text NOT NULL,
    object text NOT NULL,
    ip text NOT NULL,
    request_id text NOT NULL,
    result text NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (workspace_id, seq)
)
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for statement in isolate("audit_log"):
        op.execute(statement)
    op.execute(f"REVOKE UPDATE, DELETE ON audit_log FROM {APP_ROLE}")
