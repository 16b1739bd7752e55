"""The one `MetaData` of all tables, and what every tenant's table has.

Tables are declared in the `models.py` of their subject, with `tenant_table`. Migrations are SQL of
their own; a test holds both equal.
"""

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Uuid,
    text,
)
from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

CURRENT_WORKSPACE = "nullif(current_setting('app.ws', true), '')::uuid"
"""The bound workspace as SQL. After a first `set_config(…, true)` the setting of a connection is
`''`, never NULL again: hence `nullif`."""


def tenant_table(name: str, *items: SchemaItem, key: tuple[str, ...] = ("id",)) -> Table:
    """Declare a table whose rows belong to a workspace, with the key (workspace_id, *key).

    `workspace_id` is never written by hand: its default is the transaction's workspace.
    """
    return Table(
        name,
        metadata,
        Column("workspace_id", Uuid, nullable=False, server_default=text(CURRENT_WORKSPACE)),
        *items,
        PrimaryKeyConstraint("workspace_id", *key),
        ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], ondelete="CASCADE"),
        # Else every insert returns its key, which we have already.
        implicit_returning=False,
    )
