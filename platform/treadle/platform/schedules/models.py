"""Tables of schedules and of their fires."""

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    Uuid,
    func,
    text,
)

from treadle.platform.db.metadata import tenant_table

schedules = tenant_table(
    "schedules",
    Column("id", Uuid, nullable=False),
    Column("agent_id", Uuid, nullable=False),
    # The id of the agent's trigger that this schedule is; null where the API made it.
    Column("trigger_id", Uuid),
    # Exactly one of the three; spans as they were written.
    Column("cron", Text),
    Column("every", Text),
    Column("at", DateTime(timezone=True)),
    Column("timezone", Text, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("catchup", Text, nullable=False),
    Column("jitter", Text),
    Column("enabled", Boolean, nullable=False),
    # Why it was disabled, if that was not asked for.
    Column("disabled_reason", Text),
    # The oldest instant that nobody has looked at; null when there will be none.
    Column("next_at", DateTime(timezone=True)),
    # Runs in a row that did not succeed.
    Column("failures", Integer, nullable=False, server_default=text("0")),
    # Runs of which the end is not counted yet, oldest first.
    Column("open_runs", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_by", Uuid),
    ForeignKeyConstraint(
        ["workspace_id", "agent_id"],
        ["agents.workspace_id", "agents.id"],
        ondelete="CASCADE",
        name="fk_schedules_agent",
    ),
    Index("ix_schedules_agent", "workspace_id", "agent_id"),
    Index(
        "ix_schedules_due",
        "next_at",
        postgresql_where=text("enabled AND next_at IS NOT NULL"),
    ),
    Index("ix_schedules_open", "id", postgresql_where=text("open_runs <> '{}'")),
)

schedule_fires = tenant_table(
    "schedule_fires",
    Column("schedule_id", Uuid, nullable=False),
    Column("instant", DateTime(timezone=True), nullable=False),
    # `started`, `queued` (behind a run that still goes on), `skipped`, `refused`.
    Column("outcome", Text, nullable=False),
    Column("run_id", Uuid),
    Column("reason", Text),
    Column("fired_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["workspace_id", "schedule_id"],
        ["schedules.workspace_id", "schedules.id"],
        ondelete="CASCADE",
        name="fk_schedule_fires_schedule",
    ),
    Index(
        "ix_schedule_fires_queued",
        "workspace_id",
        "schedule_id",
        "instant",
        postgresql_where=text("outcome = 'queued'"),
    ),
    key=("schedule_id", "instant"),
)
"""An instant fires once: that is this table's key."""
