"""Tables of the engine: runs, their logs, values too large for a log, and worker processes."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from treadle.platform.db.metadata import CURRENT_WORKSPACE, metadata


def _workspace() -> Column[object]:
    return Column("workspace_id", Uuid, nullable=False, server_default=text(CURRENT_WORKSPACE))


runs = Table(
    "runs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column(
        "workspace_id",
        Uuid,
        ForeignKey("workspaces.id", ondelete="CASCADE"),
        nullable=False,
        server_default=text(CURRENT_WORKSPACE),
    ),
    Column("root_id", Uuid, nullable=False),
    Column("agent_id", Uuid),
    # The agent's name when the run was made.
    Column("agent", Text),
    Column("template", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("trigger", Text, nullable=False),
    # E-mail address of the member who made the agent or key; empty where there is none.
    Column("owner", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    # Logical names to connection ids.
    Column("connections", JSON, nullable=False),
    # Whether it needs nothing from outside: it is then claimed and finished in one statement.
    Column("is_pure", Boolean, nullable=False),
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),
    Column("status", Text, nullable=False),
    # Who advances it; null unless it is running.
    Column("worker", Text),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    Column("seq", Integer, nullable=False, server_default=text("0")),
    # Times in a row that its worker died with it before any step was finished.
    Column("crashes", SmallInteger, nullable=False, server_default=text("0")),
    # Not before this: a queued run's start, a waiting run's timer.
    Column("wake_at", DateTime(timezone=True)),
    # When a bell was last rung for it.
    Column("rung_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("inputs", JSON, nullable=False),
    Column("outputs", JSON),
    Column("error", JSON),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("created_by", Uuid),
    # The run that this one is a step of, and that step's path from the root run.
    Column("parent_id", Uuid),
    Column("frame", Text, nullable=False, server_default=text("''")),
    # Which versions its `template:` nodes mean, and theirs; null where there are none.
    Column("children", JSON),
    # Where in which trace it was started, as W3C writes it; null where the root's id is the trace.
    Column("traceparent", Text),
    # Raised by whatever comes for the run from outside: it may not park over one it has not seen.
    Column("signals", Integer, nullable=False, server_default=text("0")),
    Column("is_paused", Boolean, nullable=False, server_default=text("false")),
    ForeignKeyConstraint(
        ["workspace_id", "sha256"], ["template_texts.workspace_id", "template_texts.sha256"]
    ),
    Index("ix_runs_workspace_id", "workspace_id", "id"),
    Index("ix_runs_workspace_id_template", "workspace_id", "template", "id"),
    Index(
        "ix_runs_workspace_id_agent_id",
        "workspace_id",
        "agent_id",
        "id",
        postgresql_where=text("agent_id IS NOT NULL"),
    ),
    Index(
        "ix_runs_queued",
        "workspace_id",
        text("priority DESC"),
        "id",
        postgresql_where=text("status = 'queued'"),
    ),
    Index(
        "ix_runs_parent_id",
        "parent_id",
        postgresql_where=text("parent_id IS NOT NULL AND finished_at IS NULL"),
    ),
    Index("ix_runs_waiting", "id", postgresql_where=text("status = 'waiting'")),
    Index("ix_runs_running", "worker", postgresql_where=text("status = 'running'")),
    Index(
        "ix_runs_wake_at",
        "wake_at",
        postgresql_where=text("wake_at IS NOT NULL AND status IN ('queued', 'waiting')"),
    ),
)
"""The statuses are fixed by the contract. JSON, not JSONB: it keeps the order of keys, and text
that JSONB refuses (a page with U+0000 in it) must not fail a commit."""

log = Table(
    "log",
    metadata,
    Column("run_id", Uuid, nullable=False),
    Column("seq", Integer, nullable=False),
    _workspace(),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("entry", JSON, nullable=False),
    PrimaryKeyConstraint("run_id", "seq"),
    postgresql_partition_by="RANGE (run_id)",
)
"""Append-only: neither role may change or delete a row. The key begins with the run's id, which
begins with its time: so there is a partition for every week (`housekeeping.partitions`), which is
dropped whole, hence no foreign keys."""

run_values = Table(
    "run_values",
    metadata,
    Column("run_id", Uuid, nullable=False),
    Column("ref", Text, nullable=False),
    _workspace(),
    Column("content", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "ref"),
    postgresql_partition_by="RANGE (run_id)",
)
"""Outputs over 32 KiB as JSON text; `ref` is its SHA-256. Written before what names it."""

waits = Table(
    "waits",
    metadata,
    # Of a child, the run's id too.
    Column("id", Uuid, primary_key=True),
    Column(
        "workspace_id",
        Uuid,
        ForeignKey("workspaces.id", ondelete="CASCADE"),
        nullable=False,
        server_default=text(CURRENT_WORKSPACE),
    ),
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("item", JSON),
    Column("until", DateTime(timezone=True)),
    # What the one who answers sees: title, show, actions, form.
    Column("asked", JSON),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("answer", JSON),
    Column("answered_by", Text),
    # The first answer counts, and the end of its time is one.
    Column("answered_at", DateTime(timezone=True)),
    Column("timed_out", Boolean, nullable=False, server_default=text("false")),
    # The run has taken the answer into its log, or needs none any more.
    Column("closed_at", DateTime(timezone=True)),
    Index("ix_waits_run_id", "run_id"),
    Index(
        "ix_waits_approvals",
        "workspace_id",
        "created_at",
        "id",
        postgresql_where=text("kind = 'approval' AND answered_at IS NULL AND closed_at IS NULL"),
    ),
    Index(
        "ix_waits_children",
        "id",
        postgresql_where=text("kind = 'child' AND closed_at IS NULL"),
    ),
)
"""What steps of runs wait for, beside the logs: where answers arrive."""

workers = Table(
    "workers",
    metadata,
    # Stable over restarts: the supervisor starts a worker again under its old name.
    Column("name", Text, primary_key=True),
    # Made anew at every start: two processes of one name are told apart by it.
    Column("incarnation", Uuid, nullable=False),
    Column("beat_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("concurrency", Integer, nullable=False),
)
