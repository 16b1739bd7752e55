"""Hooks and what they received."""

from alembic import op

from treadle.platform.db.rls import APP_ROLE, isolate

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_WORKSPACE = """workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
    REFERENCES workspaces (id) ON DELETE CASCADE"""

_TABLES = f"""
CREATE TABLE hooks (
    {_WORKSPACE},
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    token text NOT NULL CONSTRAINT uq_hooks_token UNIQUE,
    kek_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed bytea NOT NULL,
    inputs json NOT NULL,
    dedupe json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT fk_hooks_agent FOREIGN KEY (workspace_id, agent_id)
        REFERENCES agents (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_hooks_agent ON hooks (workspace_id, agent_id);
CREATE TABLE hook_events (
    {_WORKSPACE},
    id uuid NOT NULL,
    hook_id uuid NOT NULL,
    message_id text NOT NULL,
    dedupe text,
    received_at timestamptz NOT NULL DEFAULT now(),
    headers json NOT NULL,
    query json NOT NULL,
    body bytea NOT NULL,
    run_id uuid,
    error text,
    replay_of uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT uq_hook_events_message UNIQUE (workspace_id, hook_id, message_id),
    CONSTRAINT fk_hook_events_hook FOREIGN KEY (workspace_id, hook_id)
        REFERENCES hooks (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_hook_events_hook ON hook_events (workspace_id, hook_id, id);
CREATE UNIQUE INDEX uq_hook_events_dedupe ON hook_events (workspace_id, hook_id, dedupe)
    WHERE dedupe IS NOT NULL
"""

# It answers before a workspace is known, as the tables' owner, whom FORCE binds too.
_LOOKUP = f"""
CREATE POLICY lookup ON hooks FOR SELECT TO CURRENT_USER USING (true);
CREATE FUNCTION find_hook(wanted text) RETURNS TABLE (workspace_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS 'SELECT workspace_id, id FROM hooks WHERE token = wanted';
REVOKE ALL ON FUNCTION find_hook(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_hook(text) TO {APP_ROLE}
"""  # noqa: S608 - the role's name is a constant


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for statement in (*isolate("hooks"), *isolate("hook_events"), _LOOKUP):
        op.execute(statement)
