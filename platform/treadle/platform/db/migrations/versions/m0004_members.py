"""Members and their roles; keys and agents belong to them."""

from alembic import op

from treadle.platform.db.rls import APP_ROLE, isolate

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE members (
    workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
        REFERENCES workspaces (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT uq_members_workspace_id_email UNIQUE (workspace_id, email)
);
ALTER TABLE api_keys ADD COLUMN member_id uuid;
ALTER TABLE api_keys ADD FOREIGN KEY (workspace_id, member_id)
    REFERENCES members (workspace_id, id);
ALTER TABLE agents ADD COLUMN owner text NOT NULL DEFAULT ''
"""

_LOOKUP = """
CREATE POLICY lookup ON members FOR SELECT TO CURRENT_USER USING (true);
DROP FUNCTION find_key(bytea);
CREATE FUNCTION find_key(wanted bytea)
    RETURNS TABLE (
        workspace_id uuid, id uuid, scopes text[], expires_at timestamptz,
        member_id uuid, owner text, role text
    )
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS '
        UPDATE api_keys SET last_used_at = now()
        WHERE mac = wanted AND (expires_at IS NULL OR expires_at > now())
            AND (last_used_at IS NULL OR last_used_at < now() - interval ''1 minute'');
        SELECT k.workspace_id, k.id, k.scopes, k.expires_at, m.id, m.email, m.role
        FROM api_keys k
        LEFT JOIN members m ON m.workspace_id = k.workspace_id AND m.id = k.member_id
        WHERE k.mac = wanted AND (k.expires_at IS NULL OR k.expires_at > now())
    ';
REVOKE ALL ON FUNCTION find_key(bytea) FROM PUBLIC
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    for statement in isolate("members"):
        op.execute(statement)
    op.execute(_LOOKUP)
    op.execute(f"GRANT EXECUTE ON FUNCTION find_key(bytea) TO {APP_ROLE}")
