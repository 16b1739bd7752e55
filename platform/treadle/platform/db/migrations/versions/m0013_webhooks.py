"""Webhooks out, and the triggers that write what is to be delivered."""

from alembic import op

from treadle.platform.db.rls import isolate, open_to_engine

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_WORKSPACE = """workspace_id uuid NOT NULL DEFAULT nullif(current_setting('app.ws', true), '')::uuid
    REFERENCES workspaces (id) ON DELETE CASCADE"""

_TABLES = f"""
CREATE TABLE webhooks (
    {_WORKSPACE},
    id uuid NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text,
    kek_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    PRIMARY KEY (workspace_id, id)
);
CREATE TABLE webhook_deliveries (
    {_WORKSPACE},
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    type text NOT NULL,
    payload text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    tries jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT fk_webhook_deliveries_webhook FOREIGN KEY (workspace_id, webhook_id)
        REFERENCES webhooks (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_deliveries_webhook ON webhook_deliveries (workspace_id, webhook_id, id);
CREATE INDEX ix_webhook_deliveries_due ON webhook_deliveries (next_at) WHERE status = 'pending'
"""

# Ids begin with the time, as those that Python makes. The functions act under the caller's role.
_ANNOUNCE = """
CREATE FUNCTION announce(workspace uuid, event text, subject json) RETURNS void
    LANGUAGE sql SET search_path = public, pg_temp AS $$
    INSERT INTO webhook_deliveries (workspace_id, id, webhook_id, type, payload)
    SELECT workspace,
        (lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
            || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
        w.id, event,
        json_build_object('type', event, 'timestamp', now(), 'data', subject)::text
    FROM webhooks w WHERE w.workspace_id = workspace AND w.enabled AND event = ANY (w.events)
$$;
CREATE FUNCTION announce_run() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM webhooks w WHERE w.workspace_id = NEW.workspace_id) THEN
        PERFORM announce(NEW.workspace_id, 'run.' || NEW.status, json_build_object(
            'id', NEW.id, 'root_id', NEW.root_id, 'agent', NEW.agent, 'template', NEW.template,
            'version', NEW.version, 'status', NEW.status, 'error', NEW.error,
            'created_at', NEW.created_at, 'started_at', NEW.started_at,
            'finished_at', NEW.finished_at));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER announce AFTER UPDATE OF status ON runs FOR EACH ROW
    WHEN (NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL AND NEW.parent_id IS NULL)
    EXECUTE FUNCTION announce_run();
CREATE FUNCTION announce_approval() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE title text;
BEGIN
    IF EXISTS (SELECT FROM webhooks w WHERE w.workspace_id = NEW.workspace_id) THEN
        BEGIN
            title := NEW.asked->>'title';
        EXCEPTION WHEN OTHERS THEN  -- a character that text cannot hold
            title := NULL;
        END;
        PERFORM announce(NEW.workspace_id, 'approval.waiting', json_build_object(
            'id', NEW.id, 'run', NEW.run_id, 'node', NEW.node, 'path', NEW.path,
            'title', title, 'until', NEW.until));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER announce AFTER INSERT ON waits FOR EACH ROW
    WHEN (NEW.kind = 'approval') EXECUTE FUNCTION announce_approval()
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_TABLES)
    # The engine ends runs; it sees which webhooks there are, not their secrets.
    columns = "SELECT (workspace_id, id, enabled, events)"
    for statement in (
        *isolate("webhooks"),
        *isolate("webhook_deliveries"),
        *open_to_engine("webhooks", privileges=columns),
        *open_to_engine("webhook_deliveries", privileges="SELECT, INSERT, UPDATE"),
        _ANNOUNCE,
    ):
        op.execute(statement)
