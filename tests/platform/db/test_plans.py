"""On 100,000 rows of 100 workspaces row-level security reads by index."""

import pytest
from sqlalchemy import text

from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId

pytestmark = pytest.mark.slow

FILL = """
    INSERT INTO workspaces SELECT gen_random_uuid(), 'w' || n FROM generate_series(1, 100) n;
    INSERT INTO connections (workspace_id, id, name, type, config)
    SELECT id, gen_random_uuid(), 'c' || n, 'http', '{}'
    FROM workspaces, generate_series(1, 1000) n;
    ANALYZE connections
"""


QUERIES = [
    "SELECT * FROM connections ORDER BY id DESC LIMIT 51",
    "SELECT * FROM connections WHERE id = gen_random_uuid()",
    "SELECT * FROM connections WHERE name = 'c7'",
    "DELETE FROM connections WHERE id = gen_random_uuid()",
]


async def test_a_tenants_queries_use_an_index(fresh_database_url: str) -> None:
    database = Database(fresh_database_url)
    async with database.engine.begin() as connection:
        for statement in FILL.split(";"):
            await connection.execute(text(statement))
        found = await connection.execute(text("SELECT id FROM workspaces LIMIT 1"))
        workspace = WorkspaceId(found.scalar_one())
    async with database.tenant(workspace) as tx:
        plans = [(await tx.execute(text(f"EXPLAIN {query}"))).scalars().all() for query in QUERIES]
    for plan in plans:
        assert "Index" in str(plan)
        assert "Seq Scan" not in str(plan)
    await database.close()
