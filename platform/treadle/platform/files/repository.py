"""Queries on uploaded files."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.errors import NotFound
from treadle.platform.files.content import get_blob, put_blob
from treadle.platform.files.models import files


@dataclass(frozen=True, slots=True)
class FileRecord:
    """An uploaded file, without its content."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: bytes


async def insert_file(
    tx: TenantConnection, *, name: str, media_type: str, content: bytes, created_by: UUID
) -> FileRecord:
    """Store a file and its content."""
    record = FileRecord(new_id(), name, media_type, len(content), await put_blob(tx, content))
    await tx.execute(
        files.insert().values(
            id=record.id,
            name=name,
            media_type=media_type,
            size=record.size,
            sha256=record.sha256,
            created_by=created_by,
        )
    )
    return record


async def get_file(tx: TenantConnection, file: UUID) -> FileRecord:
    """Return a file; raises `NotFound`."""
    row = (await tx.execute(select(files).where(files.c.id == file))).one_or_none()
    if row is None:
        raise NotFound("file", str(file))
    return FileRecord(row.id, row.name, row.media_type, row.size, row.sha256)


async def read_file(tx: TenantConnection, file: UUID) -> tuple[FileRecord, bytes]:
    """Return a file with its content; raises `NotFound`."""
    record = await get_file(tx, file)
    return record, await get_blob(tx, record.sha256)
