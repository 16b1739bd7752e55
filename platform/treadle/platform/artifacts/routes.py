"""`/v1/runs/{run}/artifacts` and `/v1/artifacts`."""

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel

from treadle.platform.artifacts.repository import (
    ArtifactRecord,
    list_artifacts,
    read_artifact,
    require_run,
)
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.ids import parse_id
from treadle.platform.files.content import attachment
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Transaction, api_router, needs

router = api_router(tags=["artifacts"])

Reader = Annotated[Caller, needs(Scope.RUNS_READ)]


class ArtifactView(BaseModel):
    """A file that a run made; `sha256` in hexadecimal."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str


@router.get("/v1/runs/{run}/artifacts")
async def list_of_run(
    run: str, tx: Transaction, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[ArtifactView]:
    """List what a run made, in the order it was made."""
    run_id = parse_id("run", run)
    await require_run(tx, run_id)
    records = await list_artifacts(tx, run_id, after=read_id_cursor(cursor), limit=limit + 1)
    return make_page(records, limit=limit, show=_show, position=lambda record: record.id)


@router.get("/v1/artifacts/{artifact}", response_class=Response)
async def download(artifact: str, tx: Transaction, _: Reader) -> Response:
    """Give an artifact, always as an attachment."""
    record, content = await read_artifact(tx, parse_id("artifact", artifact))
    return attachment(record.name, content, media_type=record.media_type)


def _show(record: ArtifactRecord) -> ArtifactView:
    return ArtifactView(
        id=str(record.id),
        name=record.name,
        media_type=record.media_type,
        size=record.size,
        sha256=record.sha256.hex(),
    )
