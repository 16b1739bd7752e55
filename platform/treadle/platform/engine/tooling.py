"""What a run's tools may use: the guarded client, bound connections, artifacts, files."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import SecretStr

from treadle.agents.ports import Tools
from treadle.integrations.base import ArtifactRef, ArtifactStore, Connection, FileStore, ToolContext
from treadle.integrations.egress import GuardedClient, HttpConnection, HttpCredential
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models import ModelClient
from treadle.platform.artifacts.repository import put_artifact
from treadle.platform.connections.service import open_connection
from treadle.platform.connections.vault import Vault
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.ids import RunId
from treadle.platform.errors import NotFound
from treadle.platform.files.repository import read_file


@dataclass(frozen=True, slots=True)
class PlatformToolbox:
    """Opens tools for runs; one serves a whole process.

    Attributes:
        guard: Every request of a tool leaves through it.
        search_url: Base URL of the SearXNG of this installation.
        mail_url: Its mail server.
    """

    database: Database
    vault: Vault
    guard: GuardedClient
    models: ModelClient
    search_url: str | None
    mail_url: SecretStr | None = None

    @asynccontextmanager
    async def open(self, run: ClaimedRun) -> AsyncGenerator[Tools]:
        """See `Toolbox`. A connection that was deleted since is unbound."""
        yield RunTools(self, run.id, run.workspace_id, await self._connections(run))

    async def _connections(self, run: ClaimedRun) -> dict[str, Connection]:
        if not run.connections:
            return {}
        opened: dict[str, Connection] = {}
        async with self.database.tenant(run.workspace_id) as tx:
            for name, text in run.connections.items():
                try:
                    found = await open_connection(tx, self.vault, run.workspace_id, UUID(text))
                except NotFound:
                    continue
                credential = HttpCredential(
                    found.auth, found.secret.get_secret_value(), found.hosts, found.header
                )
                opened[name] = HttpConnection(text, credential, guard=self.guard)
        return opened


@dataclass(frozen=True, slots=True)
class RunTools:
    """The tools of one run."""

    toolbox: PlatformToolbox
    run: RunId
    workspace: WorkspaceId
    connections: Mapping[str, Connection]

    def connection(self, name: str) -> Connection | None:
        """See `Tools`."""
        return self.connections.get(name)

    def context(
        self, *, step_path: str, idempotency_key: str, connection: str | None
    ) -> ToolContext:
        """See `Tools`."""
        toolbox = self.toolbox
        return StepContext(
            idempotency_key=idempotency_key,
            http=toolbox.guard,
            connection=None if connection is None else self.connections.get(connection),
            models=toolbox.models,
            artifacts=StepArtifacts(toolbox.database, self.workspace, self.run, step_path),
            files=WorkspaceFiles(toolbox.database, self.workspace),
            search_url=toolbox.search_url,
            mail_url=_revealed(toolbox.mail_url),
        )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


@dataclass(frozen=True, slots=True)
class StepContext:
    """What one tool call may use; see `ToolContext`."""

    idempotency_key: str
    http: GuardedClient
    connection: Connection | None
    models: ModelClient
    artifacts: ArtifactStore
    files: FileStore
    search_url: str | None
    mail_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StepArtifacts:
    """Files that a step leaves for people; a step that is run again leaves the same ones."""

    database: Database
    workspace: WorkspaceId
    run: RunId
    path: str

    async def put(self, name: str, content: bytes, *, media_type: str) -> ArtifactRef:
        """See `ArtifactStore`."""
        async with self.database.tenant(self.workspace) as tx:
            stored = await put_artifact(
                tx,
                run=self.run,
                path=self.path,
                name=name,
                media_type=media_type,
                content=content,
            )
        return ArtifactRef(
            id=str(stored.id),
            name=stored.name,
            media_type=stored.media_type,
            size=stored.size,
            sha256=stored.sha256.hex(),
        )


@dataclass(frozen=True, slots=True)
class WorkspaceFiles:
    """Files that people of the workspace uploaded."""

    database: Database
    workspace: WorkspaceId

    async def read(self, file_id: str) -> tuple[str, bytes]:
        """See `FileStore`."""
        try:
            async with self.database.tenant(self.workspace) as tx:
                record, content = await read_file(tx, UUID(file_id))
        except (NotFound, ValueError):
            raise ToolError(
                f"there is no uploaded file {file_id[:80]!r}; upload it with POST /v1/files",
                error_class=ErrorClass.INVALID_INPUT,
                code="file_not_found",
            ) from None
        return record.name, content
