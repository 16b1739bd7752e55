"""SQL that migrations use to give tables to the two roles.

`treadle_app` sees the rows of the transaction's workspace, in every table. `treadle_engine` sees
all rows, in the engine's own tables only. Neither owns anything nor may bypass row security, and
FORCE makes the policies hold for the tables' owner too.
"""

from treadle.platform.db.metadata import CURRENT_WORKSPACE

APP_ROLE = "treadle_app"
ENGINE_ROLE = "treadle_engine"


def create_role(role: str) -> list[str]:
    """Create a role that cannot log in, if it is new, and let the present user switch to it.

    Roles belong to the whole server: another database on it may have made them, even just now.
    """
    return [
        f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$
        """,
        f"""
        DO $$ BEGIN
            IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
                EXECUTE format('GRANT {role} TO %I', current_user);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN NULL;  -- granted beforehand, or refused below
        END $$
        """,  # noqa: S608 - the names of the two roles are constants
        f"SET LOCAL ROLE {role}",
        "RESET ROLE",
        f"GRANT USAGE ON SCHEMA public TO {role}",
    ]


def isolate(table: str, *, column: str = "workspace_id") -> list[str]:
    """Let `treadle_app` see and write only rows of its workspace.

    The scalar subquery makes PostgreSQL read the setting once, not per row.
    """
    own = f"{column} = (SELECT {CURRENT_WORKSPACE})"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO {APP_ROLE} USING ({own}) WITH CHECK ({own})",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}",
    ]


def open_to_engine(table: str, *, privileges: str = "SELECT, INSERT, UPDATE, DELETE") -> list[str]:
    """Let `treadle_engine` work on all rows of one of its own tables."""
    return [
        f"CREATE POLICY engine ON {table} TO {ENGINE_ROLE} USING (true) WITH CHECK (true)",
        f"GRANT {privileges} ON {table} TO {ENGINE_ROLE}",
    ]
