"""What makes two requests the same: method, path, query and body."""

import re
from hashlib import sha256

from fastapi import Request
from starlette.datastructures import UploadFile

from treadle.platform.idempotency.errors import KeyUnfit

LONGEST_KEY = 255
_KEY = re.compile(rf"[\x20-\x7e]{{1,{LONGEST_KEY}}}")
_PIECE = 1024 * 1024


def read_key(header: str) -> str:
    """Check a key; raises `KeyUnfit`."""
    if not _KEY.fullmatch(header):
        raise KeyUnfit(LONGEST_KEY)
    return header


async def fingerprint(request: Request) -> bytes:
    """Digest a request. A form's boundary is left out: clients invent a new one each time."""
    digest = sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        for name, value in (await request.form()).multi_items():
            digest.update(f"\n{name}\n".encode())
            digest.update(await _digest(value))
    else:
        digest.update(await request.body())
    return digest.digest()


async def _digest(value: UploadFile | str) -> bytes:
    if isinstance(value, str):
        return sha256(value.encode()).digest()
    digest = sha256(f"{value.filename}\n{value.content_type}\n".encode())
    while piece := await value.read(_PIECE):
        digest.update(piece)
    await value.seek(0)
    return digest.digest()
