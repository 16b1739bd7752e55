"""Logs and large values in partitions by week; what housekeeping may see."""

from alembic import op

from treadle.platform.db.rls import APP_ROLE, ENGINE_ROLE, isolate, open_to_engine

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# What is there becomes the default partition: nothing is copied.
_PARTITION = """
ALTER TABLE {table} RENAME TO {table}_default;
ALTER TABLE {table}_default RENAME CONSTRAINT {table}_pkey TO {table}_default_pkey;
DROP POLICY tenant ON {table}_default;
DROP POLICY engine ON {table}_default;
REVOKE ALL ON {table}_default FROM {app}, {engine};
CREATE POLICY keeper ON {table}_default TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE TABLE {table} (LIKE {table}_default INCLUDING DEFAULTS, PRIMARY KEY ({key}))
    PARTITION BY RANGE (run_id);
ALTER TABLE {table} ATTACH PARTITION {table}_default DEFAULT
"""
_KEYS = {"log": "run_id, seq", "run_values": "run_id, ref"}


def upgrade() -> None:
    """Apply."""
    for table, key in _KEYS.items():
        op.execute(_PARTITION.format(table=table, key=key, app=APP_ROLE, engine=ENGINE_ROLE))
        for statement in isolate(table):
            op.execute(statement)
        op.execute(f"REVOKE UPDATE, DELETE ON {table} FROM {APP_ROLE}")
        for statement in open_to_engine(table, privileges="SELECT, INSERT"):
            op.execute(statement)
    # Housekeeping goes through the workspaces one by one, in transactions of each.
    op.execute(f"CREATE POLICY engine ON workspaces FOR SELECT TO {ENGINE_ROLE} USING (true)")
    op.execute(f"GRANT SELECT (id) ON workspaces TO {ENGINE_ROLE}")
