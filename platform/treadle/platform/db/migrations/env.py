"""Alembic's entry: runs on the connection that `migrate` opened, in its transaction."""

from alembic import context
from sqlalchemy import Connection


def _run() -> None:
    connection = context.config.attributes["connection"]
    if not isinstance(connection, Connection):
        raise TypeError("migrations run through treadle.platform.db.migrate alone")
    context.configure(connection=connection, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


_run()
