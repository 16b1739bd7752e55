"""PostgreSQL itself keeps workspaces apart; these tests use raw SQL on purpose."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.db.metadata import metadata
from treadle.platform.tables import workspaces

pytestmark = pytest.mark.slow

INSERT = "INSERT INTO connections (id, name, type, config) VALUES (:id, :name, 'http', '{}')"


async def make_workspace(database: Database) -> WorkspaceId:
    workspace = WorkspaceId(new_id())
    async with database.tenant(workspace) as connection:
        await connection.execute(workspaces.insert().values(id=workspace, name=str(workspace)))
        await connection.execute(text(INSERT), {"id": new_id(), "name": "crm"})
    return workspace


async def test_a_workspace_sees_its_own_rows_only(database: Database) -> None:
    mine, theirs = await make_workspace(database), await make_workspace(database)
    async with database.tenant(mine) as connection:
        rows = await connection.execute(text("SELECT workspace_id FROM connections"))
        assert {row.workspace_id for row in rows} == {mine}
        rows = await connection.execute(text("SELECT id FROM workspaces"))
        assert {row.id for row in rows} == {mine}
        changed = await connection.execute(
            text("UPDATE connections SET name = 'x' WHERE workspace_id = :ws"), {"ws": theirs}
        )
        assert changed.rowcount == 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM connections",
        "WITH c AS (SELECT * FROM connections) SELECT * FROM c",
        "SELECT * FROM connections UNION ALL SELECT * FROM connections",
        "SELECT a.* FROM connections a JOIN connections b USING (id)",
        "DELETE FROM connections RETURNING *",
    ],
)
async def test_without_a_workspace_there_are_no_rows(database: Database, query: str) -> None:
    await make_workspace(database)
    async with database.unbound() as connection:
        assert (await connection.execute(text(query))).all() == []


async def test_without_a_workspace_nothing_is_inserted(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"null value|row-level security"):
        async with database.unbound() as connection:
            await connection.execute(text(INSERT), {"id": new_id(), "name": "crm"})


async def test_a_forged_workspace_is_refused(database: Database) -> None:
    mine, theirs = await make_workspace(database), await make_workspace(database)
    forged = text(
        "INSERT INTO connections (workspace_id, id, name, type, config)"
        " VALUES (:ws, :id, 'forged', 'http', '{}')"
    )
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.tenant(mine) as connection:
            await connection.execute(forged, {"ws": theirs, "id": new_id()})


async def test_a_row_cannot_be_moved_to_another_workspace(database: Database) -> None:
    mine, theirs = await make_workspace(database), await make_workspace(database)
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.tenant(mine) as connection:
            await connection.execute(
                text("UPDATE connections SET workspace_id = :ws"), {"ws": theirs}
            )


async def test_nothing_of_a_transaction_leaks_to_the_next(database_url: str) -> None:
    database = Database(database_url, pool_size=1, max_overflow=0)
    workspace = await make_workspace(database)
    with pytest.raises(LookupError):
        async with database.tenant(workspace):
            raise LookupError
    async with database.unbound() as connection:
        assert (await connection.execute(text("SELECT * FROM connections"))).all() == []
    async with database.engine.begin() as connection:
        setting, role = (
            await connection.execute(text("SELECT current_setting('app.ws', true), current_user"))
        ).one()
    assert (setting, role) == ("", "postgres")
    await database.close()


@pytest.mark.parametrize("role", ["treadle_app", "treadle_engine"])
async def test_the_roles_neither_own_nor_bypass(database: Database, role: str) -> None:
    async with database.unbound() as connection:
        facts = await connection.execute(
            text(
                "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcanlogin,"
                " EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid) AS owns"
                " FROM pg_roles WHERE rolname = :role"
            ),
            {"role": role},
        )
        assert facts.one() == (False, False, False, False, False)


async def read_with_row_security_off(connection: AsyncConnection) -> None:
    await connection.execute(text("SET LOCAL row_security = off"))
    await connection.execute(text("SELECT * FROM connections"))


async def test_row_security_cannot_be_switched_off(database: Database) -> None:
    workspace = await make_workspace(database)
    with pytest.raises(ProgrammingError, match="would be affected by row-level security"):
        async with database.tenant(workspace) as connection:
            await read_with_row_security_off(connection)


async def test_every_table_forces_row_security(database: Database) -> None:
    async with database.unbound() as connection:
        forced = await connection.execute(
            text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
        )
        assert set(metadata.tables) <= {row.relname for row in forced}


async def test_the_engine_sees_no_tenant_table_but_its_own(database: Database) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.as_engine() as connection:
            await connection.execute(text("SELECT * FROM connections"))


async def test_a_later_made_id_sorts_later() -> None:
    ids: list[UUID] = [new_id() for _ in range(3)]
    assert {i.version for i in ids} == {7}
    assert [i.int >> 80 for i in ids] == sorted(i.int >> 80 for i in ids)
