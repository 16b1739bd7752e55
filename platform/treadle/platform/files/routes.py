"""`/v1/files`: uploads, to be named in inputs of `format: file`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Request, Response, UploadFile
from pydantic import BaseModel

from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import parse_id
from treadle.platform.errors import PayloadTooLarge, Unprocessable
from treadle.platform.files.content import attachment, clean_media_type, clean_name
from treadle.platform.files.repository import insert_file, read_file
from treadle.platform.routing import KIB, MIB, Transaction, api_router, needs

LARGEST_FILE = 50 * MIB
_ENVELOPE = 16 * KIB  # multipart's own lines around the file

router = api_router(tags=["files"], limit=LARGEST_FILE + _ENVELOPE)


class FileView(BaseModel):
    """An uploaded file; `sha256` in hexadecimal."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str


@router.post(
    "/v1/files", status_code=HTTPStatus.CREATED, form_limits={"max_files": 1, "max_fields": 8}
)
async def upload(
    request: Request,
    file: UploadFile,
    tx: Transaction,
    caller: Annotated[Caller, needs(Scope.RUNS_WRITE)],
) -> FileView:
    """Store a file, sent as `multipart/form-data` in the field `file`; at most 50 MiB."""
    for field in await request.form():
        if field != "file":
            raise Unprocessable(f"unknown field {field!r}: a file goes in `file`, alone")
    content = await file.read()
    if len(content) > LARGEST_FILE:
        raise PayloadTooLarge(LARGEST_FILE)
    record = await insert_file(
        tx,
        name=clean_name(file.filename),
        media_type=clean_media_type(file.content_type),
        content=content,
        created_by=caller.key_id,
    )
    return FileView(
        id=str(record.id),
        name=record.name,
        media_type=record.media_type,
        size=record.size,
        sha256=record.sha256.hex(),
    )


@router.get("/v1/files/{file}", response_class=Response)
async def download(
    file: str, tx: Transaction, _: Annotated[Caller, needs(Scope.RUNS_READ)]
) -> Response:
    """Give an uploaded file back, as an attachment."""
    record, content = await read_file(tx, parse_id("file", file))
    return attachment(record.name, content, media_type=record.media_type)
