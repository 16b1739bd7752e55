"""Queries on artifacts."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from treadle.platform.artifacts.models import artifacts
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.engine.models import runs
from treadle.platform.errors import NotFound
from treadle.platform.files.content import clean_media_type, clean_name, get_blob, put_blob


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """A file that a run made, without its content."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: bytes


async def put_artifact(
    tx: TenantConnection, *, run: UUID, path: str, name: str, media_type: str, content: bytes
) -> ArtifactRecord:
    """Store what a step made; the same run, path, name and content give the same artifact."""
    digest = await put_blob(tx, content)
    shown = clean_name(name)
    query = insert(artifacts).values(
        id=new_id(),
        run_id=run,
        path=path,
        name=shown,
        media_type=clean_media_type(media_type),
        size=len(content),
        sha256=digest,
    )
    key = ["workspace_id", "run_id", "path", "name", "sha256"]
    await tx.execute(query.on_conflict_do_nothing(index_elements=key))
    stored = select(artifacts).where(
        artifacts.c.run_id == run,
        artifacts.c.path == path,
        artifacts.c.name == shown,
        artifacts.c.sha256 == digest,
    )
    return _read((await tx.execute(stored)).one())


async def list_artifacts(
    tx: TenantConnection, run: UUID, *, after: UUID | None, limit: int
) -> list[ArtifactRecord]:
    """A run's artifacts, in the order they were made."""
    query = select(artifacts).where(artifacts.c.run_id == run).order_by(artifacts.c.id).limit(limit)
    if after is not None:
        query = query.where(artifacts.c.id > after)
    return [_read(row) for row in await tx.execute(query)]


async def require_run(tx: TenantConnection, run: UUID) -> None:
    """Raise `NotFound` unless the workspace has the run."""
    if (await tx.execute(select(runs.c.id).where(runs.c.id == run))).first() is None:
        raise NotFound("run", str(run))


async def read_artifact(tx: TenantConnection, artifact: UUID) -> tuple[ArtifactRecord, bytes]:
    """Return an artifact with its content; raises `NotFound`."""
    row = (await tx.execute(select(artifacts).where(artifacts.c.id == artifact))).one_or_none()
    if row is None:
        raise NotFound("artifact", str(artifact))
    record = _read(row)
    return record, await get_blob(tx, record.sha256)


def _read(row: Row[tuple[object, ...]]) -> ArtifactRecord:
    return ArtifactRecord(row.id, row.name, row.media_type, row.size, row.sha256)
