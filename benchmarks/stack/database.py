"""What PostgreSQL itself says was done and is kept."""

import time
from dataclasses import dataclass
from datetime import datetime

import psycopg

_TABLES = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public'
"""
_COUNTS = """
SELECT pg_current_xact_id()::text::bigint, xact_commit,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), now()
FROM pg_stat_database WHERE datname = current_database()
"""
SETTLE_S = 1.3
"""Backends report at most once a second."""


@dataclass(frozen=True)
class Counts:
    """Since the database was made.

    Attributes:
        commits: Transactions that wrote something, by the transaction counter.
        transactions: All that were committed, those that only read too (pg_stat_database).
        wal: Bytes of write-ahead log.
        size: Bytes of all tables and their indexes.
        at: When, by the database's clock.
    """

    commits: int
    transactions: int
    wal: int
    size: int
    at: datetime

    def since(self, before: "Counts") -> "Counts":
        """What was added."""
        return Counts(
            self.commits - before.commits - 1,  # asking for the counter is one
            self.transactions - before.transactions,
            self.wal - before.wal,
            self.size - before.size,
            self.at,
        )


def count(url: str, *, settle: bool = True) -> Counts:
    """Ask the database."""
    if settle:
        time.sleep(SETTLE_S)
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(_COUNTS).fetchone()
        size = connection.execute(_TABLES).fetchone()
    assert row is not None
    assert size is not None
    return Counts(int(row[0]), int(row[1]), int(row[2]), int(size[0]), row[3])


def sibling(url: str, name: str) -> str:
    """The address of another database on the same server."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"
