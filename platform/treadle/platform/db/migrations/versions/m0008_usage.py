"""Usage: entries as they come, and days."""

from alembic import op

from treadle.platform.db.rls import isolate, open_to_engine

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WORKSPACE = """workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
    REFERENCES workspaces (id) ON DELETE CASCADE"""
_COUNTS = """
    agent text NOT NULL,
    template text NOT NULL,
    model text NOT NULL,
    runs bigint NOT NULL,
    steps bigint NOT NULL,
    model_calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    cost_usd double precision
"""

_TABLES = f"""
CREATE TABLE usage_entries (
    {_WORKSPACE},
    at timestamptz NOT NULL DEFAULT now(),
    {_COUNTS}
);
CREATE TABLE usage_daily (
    {_WORKSPACE},
    day date NOT NULL,
    {_COUNTS},
    PRIMARY KEY (workspace_id, day, agent, template, model)
)
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for table in ("usage_entries", "usage_daily"):
        for statement in (*isolate(table), *open_to_engine(table)):
            op.execute(statement)
