"""The two roles, workspaces, keys, templates, agents, connections, files and artifacts."""

from alembic import op

from treadle.platform.db.rls import APP_ROLE, ENGINE_ROLE, create_role, isolate, open_to_engine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WORKSPACE = """workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
    REFERENCES workspaces (id) ON DELETE CASCADE"""

_TABLES = f"""
CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT uq_workspaces_name UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE api_keys (
    {_WORKSPACE},
    id uuid NOT NULL,
    name text NOT NULL,
    mac bytea NOT NULL CONSTRAINT uq_api_keys_mac UNIQUE,
    last4 text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    expires_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE TABLE template_texts (
    {_WORKSPACE},
    sha256 bytea NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, sha256)
);
CREATE TABLE template_versions (
    {_WORKSPACE},
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    version text NOT NULL,
    precedence text COLLATE "C" NOT NULL,
    draft boolean NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    labels text[] NOT NULL,
    sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, sha256) REFERENCES template_texts (workspace_id, sha256)
);
CREATE UNIQUE INDEX uq_template_versions_published
    ON template_versions (workspace_id, name, version) WHERE NOT draft;
CREATE UNIQUE INDEX uq_template_versions_draft
    ON template_versions (workspace_id, name) WHERE draft;
CREATE TABLE agents (
    {_WORKSPACE},
    id uuid NOT NULL,
    name text NOT NULL,
    template text NOT NULL,
    version text NOT NULL,
    origin text NOT NULL,
    sha256 bytea NOT NULL,
    settings json NOT NULL,
    connections jsonb NOT NULL,
    triggers json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT uq_agents_workspace_id_name UNIQUE (workspace_id, name),
    FOREIGN KEY (workspace_id, sha256) REFERENCES template_texts (workspace_id, sha256)
);
CREATE INDEX ix_agents_workspace_id_template ON agents (workspace_id, template);
CREATE TABLE connections (
    {_WORKSPACE},
    id uuid NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    config jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT uq_connections_workspace_id_name UNIQUE (workspace_id, name)
);
CREATE TABLE connection_secrets (
    {_WORKSPACE},
    connection_id uuid NOT NULL,
    field text NOT NULL,
    version integer NOT NULL,
    kek_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (workspace_id, connection_id, field),
    FOREIGN KEY (workspace_id, connection_id) REFERENCES connections (workspace_id, id)
        ON DELETE CASCADE
);
CREATE TABLE blobs (
    {_WORKSPACE},
    sha256 bytea NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, sha256)
);
-- Uploads are mostly compressed already; compressing 50 MiB again costs seconds.
ALTER TABLE blobs ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE TABLE files (
    {_WORKSPACE},
    id uuid NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, sha256) REFERENCES blobs (workspace_id, sha256)
);
CREATE TABLE artifacts (
    {_WORKSPACE},
    id uuid NOT NULL,
    run_id uuid NOT NULL,
    path text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT uq_artifacts_workspace_id_run_id_path_name_sha256
        UNIQUE (workspace_id, run_id, path, name, sha256),
    FOREIGN KEY (workspace_id, sha256) REFERENCES blobs (workspace_id, sha256)
)
"""

# The functions that answer before a workspace is known run as the tables' owner. FORCE holds for
# the owner too, so it gets policies of its own on exactly these two tables.
_LOOKUPS = """
CREATE POLICY lookup ON workspaces FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY lookup ON api_keys FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY lookup_used ON api_keys FOR UPDATE TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE FUNCTION find_workspace(wanted text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS 'SELECT id FROM workspaces WHERE name = wanted';
CREATE FUNCTION find_key(wanted bytea)
    RETURNS TABLE (workspace_id uuid, id uuid, scopes text[], expires_at timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS '
        UPDATE api_keys SET last_used_at = now()
        WHERE mac = wanted AND (expires_at IS NULL OR expires_at > now())
            AND (last_used_at IS NULL OR last_used_at < now() - interval ''1 minute'');
        SELECT workspace_id, id, scopes, expires_at FROM api_keys
        WHERE mac = wanted AND (expires_at IS NULL OR expires_at > now())
    ';
REVOKE ALL ON FUNCTION find_workspace(text), find_key(bytea) FROM PUBLIC
"""

_TENANT_TABLES = [
    "api_keys",
    "template_texts",
    "template_versions",
    "agents",
    "connections",
    "connection_secrets",
    "blobs",
    "files",
    "artifacts",
]


def upgrade() -> None:
    """Apply."""
    for role in (APP_ROLE, ENGINE_ROLE):
        _run(*create_role(role))
    _run(_TABLES)
    _run(*isolate("workspaces", column="id"))
    for table in _TENANT_TABLES:
        _run(*isolate(table))
    # The engine reads the texts it runs; all else it opens in transactions of the run's tenant.
    _run(*open_to_engine("template_texts", privileges="SELECT"))
    _run(_LOOKUPS)
    _run(f"GRANT EXECUTE ON FUNCTION find_workspace(text), find_key(bytea) TO {APP_ROLE}")
    _run(f"GRANT SELECT ON alembic_version TO {APP_ROLE}, {ENGINE_ROLE}")


def _run(*statements: str) -> None:
    for statement in statements:
        op.execute(statement)
