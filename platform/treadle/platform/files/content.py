"""Content stored by its digest, and how it is handed out: never as something a browser runs."""

import re
import unicodedata
from hashlib import sha256
from urllib.parse import quote

from fastapi import Response
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from treadle.platform.db.database import TenantConnection
from treadle.platform.files.models import blobs

LONGEST_NAME = 255
UNNAMED = "file"
ANY_TYPE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


async def put_blob(tx: TenantConnection, content: bytes) -> bytes:
    """Store content unless it is there; returns its SHA-256.

    Content that is there becomes young again: until it is referred to, nobody collects it.
    """
    digest = sha256(content).digest()
    query = insert(blobs).values(sha256=digest, content=content)
    young = {"created_at": func.now()}
    await tx.execute(
        query.on_conflict_do_update(index_elements=["workspace_id", "sha256"], set_=young)
    )
    return digest


async def get_blob(tx: TenantConnection, digest: bytes) -> bytes:
    """Return content that a row of the same workspace refers to."""
    query = select(blobs.c.content).where(blobs.c.sha256 == digest)
    content: bytes = (await tx.execute(query)).scalar_one()
    return content


def clean_name(name: str | None) -> str:
    """Keep of a file's name what may be shown; it is never a path here."""
    last = re.split(r"[/\\]", name or "")[-1]
    shown = "".join(char for char in last if unicodedata.category(char)[0] != "C").strip()
    return shown[-LONGEST_NAME:] if shown.strip(".") else UNNAMED


def clean_media_type(media_type: str | None) -> str:
    """Keep a media type without parameters, if it is one."""
    plain = (media_type or "").partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else ANY_TYPE


def attachment(name: str, content: bytes, *, media_type: str) -> Response:
    """Answer with content to be saved, whatever it is."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return Response(
        content,
        media_type=media_type,
        headers={
            "Content-Disposition": disposition,
            "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        },
    )
