"""The stored texts of templates, as the engine reads them."""

from dataclasses import dataclass

from psycopg.rows import class_row

from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine import statements
from treadle.platform.engine.connections import EngineConnection


@dataclass(frozen=True, slots=True)
class _Text:
    text: str


class StoredTexts:
    """Reads texts under one connection."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    async def text(self, workspace: WorkspaceId, sha256: bytes) -> str:
        """The text that a run of the workspace refers to."""
        rows = await self._connection.fetch_surely(
            statements.TEXT, (workspace, sha256), row=class_row(_Text)
        )
        return rows[0].text

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
