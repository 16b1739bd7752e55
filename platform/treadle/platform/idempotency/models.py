"""Table of the keys of POSTs that were answered."""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    func,
)

from treadle.platform.db.metadata import tenant_table

idempotency_keys = tenant_table(
    "idempotency_keys",
    Column("key", Text(collation="C"), nullable=False),
    # SHA-256 of method, path, query and body.
    Column("fingerprint", LargeBinary, nullable=False),
    # The run that was accepted under the key; null for all else.
    Column("run_id", Uuid),
    Column("status", SmallInteger, nullable=False),
    # The answer's body, encrypted: it may hold a secret that is shown once.
    Column("sealed", LargeBinary, nullable=False),
    # Not so while the first request still waits for its run to end.
    Column("is_final", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_idempotency_keys_created_at", "created_at"),
    key=("key",),
)
