"""Tables of hooks and of what they received."""

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from treadle.platform.db.metadata import tenant_table

hooks = tenant_table(
    "hooks",
    # The id of the agent's trigger.
    Column("id", Uuid, nullable=False),
    Column("agent_id", Uuid, nullable=False),
    # Part of the address; what protects the hook is its secret.
    Column("token", Text, nullable=False, unique=True),
    Column("kek_id", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("dedupe", JSON),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["workspace_id", "agent_id"],
        ["agents.workspace_id", "agents.id"],
        ondelete="CASCADE",
        name="fk_hooks_agent",
    ),
    Index("ix_hooks_agent", "workspace_id", "agent_id"),
)

hook_events = tenant_table(
    "hook_events",
    Column("id", Uuid, nullable=False),
    Column("hook_id", Uuid, nullable=False),
    # The sender's `webhook-id`; of a replay one of our own.
    Column("message_id", Text, nullable=False),
    # What the trigger's `dedupe` says; null where it says nothing or no run was started.
    Column("dedupe", Text),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("headers", JSON, nullable=False),
    Column("query", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("run_id", Uuid),
    # Why it started no run.
    Column("error", Text),
    Column("replay_of", Uuid),
    UniqueConstraint("workspace_id", "hook_id", "message_id", name="uq_hook_events_message"),
    ForeignKeyConstraint(
        ["workspace_id", "hook_id"],
        ["hooks.workspace_id", "hooks.id"],
        ondelete="CASCADE",
        name="fk_hook_events_hook",
    ),
    Index("ix_hook_events_hook", "workspace_id", "hook_id", "id"),
    Index(
        "uq_hook_events_dedupe",
        "workspace_id",
        "hook_id",
        "dedupe",
        unique=True,
        postgresql_where=text("dedupe IS NOT NULL"),
    ),
)
