"""What processes count; waiting runs are counted by an index of their own."""

from alembic import op

from treadle.platform.db.rls import open_to_engine

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE process_metrics (
    process text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    content json NOT NULL
);
ALTER TABLE process_metrics ENABLE ROW LEVEL SECURITY;
ALTER TABLE process_metrics FORCE ROW LEVEL SECURITY;
CREATE INDEX ix_runs_waiting ON runs (id) WHERE status = 'waiting'
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for statement in open_to_engine("process_metrics"):
        op.execute(statement)
