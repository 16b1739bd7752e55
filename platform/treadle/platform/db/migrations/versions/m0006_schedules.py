"""Schedules and their fires."""

from alembic import op

from treadle.platform.db.rls import isolate, open_to_engine

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

_WORKSPACE = """workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
    REFERENCES workspaces (id) ON DELETE CASCADE"""

_TABLES = f"""
CREATE TABLE schedules (
    {_WORKSPACE},
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    trigger_id uuid,
    cron text,
    every text,
    at timestamptz,
    timezone text NOT NULL,
    inputs json NOT NULL,
    overlap text NOT NULL,
    catchup text NOT NULL,
    jitter text,
    enabled boolean NOT NULL,
    disabled_reason text,
    next_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    open_runs uuid[] NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT fk_schedules_agent FOREIGN KEY (workspace_id, agent_id)
        REFERENCES agents (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_schedules_agent ON schedules (workspace_id, agent_id);
CREATE INDEX ix_schedules_due ON schedules (next_at) WHERE enabled AND next_at IS NOT NULL;
CREATE INDEX ix_schedules_open ON schedules (id) WHERE open_runs <> '{{}}';
CREATE TABLE schedule_fires (
    {_WORKSPACE},
    schedule_id uuid NOT NULL,
    instant timestamptz NOT NULL,
    outcome text NOT NULL,
    run_id uuid,
    reason text,
    fired_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, schedule_id, instant),
    CONSTRAINT fk_schedule_fires_schedule FOREIGN KEY (workspace_id, schedule_id)
        REFERENCES schedules (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_schedule_fires_queued ON schedule_fires (workspace_id, schedule_id, instant)
    WHERE outcome = 'queued'
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for statement in (*isolate("schedules"), *isolate("schedule_fires")):
        op.execute(statement)
    # It locks what is due (which needs the right to update) and acts as the workspace from there.
    for statement in open_to_engine("schedules", privileges="SELECT, UPDATE"):
        op.execute(statement)
