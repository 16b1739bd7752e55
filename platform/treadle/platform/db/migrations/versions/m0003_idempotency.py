"""Idempotency keys of POSTs."""

from alembic import op

from treadle.platform.db.rls import isolate, open_to_engine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE idempotency_keys (
    workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
        REFERENCES workspaces (id) ON DELETE CASCADE,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    run_id uuid,
    status smallint NOT NULL,
    sealed bytea NOT NULL,
    is_final boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, key)
);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at)
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    _run(*isolate("idempotency_keys"))
    # It accepts runs together with their keys, and prunes.
    _run(*open_to_engine("idempotency_keys", privileges="SELECT, INSERT, DELETE"))


def _run(*statements: str) -> None:
    for statement in statements:
        op.execute(statement)
