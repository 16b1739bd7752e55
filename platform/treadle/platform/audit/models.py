"""Table of the audit log."""

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, Text, Uuid

from treadle.platform.db.metadata import tenant_table

audit_log = tenant_table(
    "audit_log",
    # Place in the workspace's chain, from 1 without a gap.
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    # The member's address, where the key has one.
    Column("actor", Text, nullable=False),
    Column("key_id", Uuid),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("ip", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("result", Text, nullable=False),
    # MAC of this row and the digest before it.
    Column("digest", LargeBinary, nullable=False),
    key=("seq",),
)
"""Append-only: the role of requests may neither change nor delete a row."""
