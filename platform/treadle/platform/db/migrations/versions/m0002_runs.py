"""Runs, their logs, large values, and worker processes."""

from alembic import op

from treadle.platform.db.rls import APP_ROLE, isolate, open_to_engine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OWN = "uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid"

_TABLES = f"""
CREATE TABLE runs (
    id uuid PRIMARY KEY,
    workspace_id {_OWN} REFERENCES workspaces (id) ON DELETE CASCADE,
    root_id uuid NOT NULL,
    agent_id uuid,
    agent text,
    template text NOT NULL,
    version text NOT NULL,
    sha256 bytea NOT NULL,
    trigger text NOT NULL,
    owner text NOT NULL,
    settings json NOT NULL,
    connections json NOT NULL,
    is_pure boolean NOT NULL,
    priority smallint NOT NULL DEFAULT 0,
    status text NOT NULL,
    worker text,
    epoch integer NOT NULL DEFAULT 0,
    seq integer NOT NULL DEFAULT 0,
    crashes smallint NOT NULL DEFAULT 0,
    wake_at timestamptz,
    rung_at timestamptz NOT NULL DEFAULT now(),
    inputs json NOT NULL,
    outputs json,
    error json,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    created_by uuid,
    FOREIGN KEY (workspace_id, sha256) REFERENCES template_texts (workspace_id, sha256)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ix_runs_workspace_id ON runs (workspace_id, id);
CREATE INDEX ix_runs_workspace_id_template ON runs (workspace_id, template, id);
CREATE INDEX ix_runs_workspace_id_agent_id ON runs (workspace_id, agent_id, id)
    WHERE agent_id IS NOT NULL;
CREATE INDEX ix_runs_queued ON runs (priority DESC, id) WHERE status = 'queued';
CREATE INDEX ix_runs_running ON runs (worker) WHERE status = 'running';
CREATE INDEX ix_runs_wake_at ON runs (wake_at)
    WHERE wake_at IS NOT NULL AND status IN ('queued', 'waiting');
CREATE TABLE log (
    run_id uuid NOT NULL,
    seq integer NOT NULL,
    workspace_id {_OWN},
    at timestamptz NOT NULL DEFAULT now(),
    entry json NOT NULL,
    PRIMARY KEY (run_id, seq)
);
CREATE TABLE run_values (
    run_id uuid NOT NULL,
    ref text NOT NULL,
    workspace_id {_OWN},
    content text NOT NULL,
    PRIMARY KEY (run_id, ref)
);
CREATE TABLE workers (
    name text PRIMARY KEY,
    incarnation uuid NOT NULL,
    beat_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz NOT NULL DEFAULT now(),
    concurrency integer NOT NULL
);
ALTER TABLE workers ENABLE ROW LEVEL SECURITY;
ALTER TABLE workers FORCE ROW LEVEL SECURITY
"""

_APPEND_ONLY = "REVOKE UPDATE, DELETE ON log, run_values FROM"


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for table in ("runs", "log", "run_values"):
        _run(*isolate(table))
    _run(f"{_APPEND_ONLY} {APP_ROLE}")
    _run(*open_to_engine("runs", privileges="SELECT, INSERT, UPDATE"))
    _run(*open_to_engine("log", privileges="SELECT, INSERT"))
    _run(*open_to_engine("run_values", privileges="SELECT, INSERT"))
    _run(*open_to_engine("workers"))


def _run(*statements: str) -> None:
    for statement in statements:
        op.execute(statement)
