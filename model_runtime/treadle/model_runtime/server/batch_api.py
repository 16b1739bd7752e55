"""The routes of files and batches; each key sees its own."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from pydantic import JsonValue

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.server.answering import Answerer
from treadle.model_runtime.server.batches import Batch, BatchRequest
from treadle.model_runtime.server.batching import Batching
from treadle.model_runtime.server.files import PURPOSES, FileStore, StoredFile
from treadle.model_runtime.server.generation import Caller

Limit = Annotated[int, Query(ge=1, le=100)]


class BatchApi:
    """Files and batches in a folder."""

    def __init__(
        self, folder: Path, answering: Answerer, caller: Callable[[Request], Caller]
    ) -> None:
        self._files = FileStore(folder / "files")
        self.batching = Batching(answering, self._files, folder / "batches")
        self._caller = caller

    def routes(self) -> APIRouter:
        """What is uploaded, what is made of it, and what comes out."""
        routes = APIRouter(prefix="/v1")
        routes.add_api_route("/files", self.upload, methods=["POST"])
        routes.add_api_route("/files", self.files)
        routes.add_api_route("/files/{file_id}", self.file)
        routes.add_api_route("/files/{file_id}", self.delete_file, methods=["DELETE"])
        routes.add_api_route("/files/{file_id}/content", self.content)
        routes.add_api_route("/batches", self.create, methods=["POST"])
        routes.add_api_route("/batches", self.batches)
        routes.add_api_route("/batches/{batch_id}", self.batch)
        routes.add_api_route("/batches/{batch_id}/cancel", self.cancel, methods=["POST"])
        return routes

    async def upload(
        self, request: Request, file: UploadFile, purpose: Annotated[str, Form()]
    ) -> JSONResponse:
        """Keep a file for a batch."""
        if purpose not in PURPOSES:
            raise BadRequest(f"the purpose is one of {sorted(PURPOSES)}", param="purpose")
        found = await asyncio.to_thread(
            self._files.add,
            file.file,
            owner=self._caller(request).owner,
            filename=Path(file.filename or "upload").name,
            purpose=purpose,
        )
        return JSONResponse(found.body())

    async def files(
        self,
        request: Request,
        purpose: str | None = None,
        after: str | None = None,
        limit: Limit = 100,
    ) -> JSONResponse:
        """The files of a key, newest first."""
        found = self._files.all(owner=self._caller(request).owner)
        mine = [file for file in found if purpose in {None, file.purpose}]
        return JSONResponse(_page(mine, after, limit))

    async def file(self, request: Request, file_id: str) -> JSONResponse:
        """What is known of a file."""
        return JSONResponse(self._files.get(file_id, owner=self._caller(request).owner).body())

    async def delete_file(self, request: Request, file_id: str) -> JSONResponse:
        """Forget a file."""
        self._files.delete(file_id, owner=self._caller(request).owner)
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request, file_id: str) -> FileResponse:
        """A file's bytes."""
        found = self._files.get(file_id, owner=self._caller(request).owner)
        return FileResponse(self._files.path(found.id), media_type="application/octet-stream")

    async def create(self, request: Request, body: BatchRequest) -> JSONResponse:
        """Begin a batch."""
        batch = self.batching.create(body, owner=self._caller(request).owner)
        return JSONResponse(batch.body())

    async def batches(
        self, request: Request, after: str | None = None, limit: Limit = 20
    ) -> JSONResponse:
        """The batches of a key, newest first."""
        found = self.batching.all(owner=self._caller(request).owner)
        return JSONResponse(_page(found, after, limit))

    async def batch(self, request: Request, batch_id: str) -> JSONResponse:
        """How far a batch is."""
        return JSONResponse(self.batching.get(batch_id, owner=self._caller(request).owner).body())

    async def cancel(self, request: Request, batch_id: str) -> JSONResponse:
        """Stop a batch."""
        batch = self.batching.cancel(batch_id, owner=self._caller(request).owner)
        return JSONResponse(batch.body())


def _page(
    items: Sequence[StoredFile] | Sequence[Batch], after: str | None, limit: int
) -> JsonValue:
    """Those behind `after`, as OpenAI's lists are."""
    ids = [item.id for item in items]
    if after is not None and after not in ids:
        raise BadRequest(f"there is no {after!r} to go on behind", param="after")
    start = 0 if after is None else ids.index(after) + 1
    shown = items[start : start + limit]
    return {
        "object": "list",
        "data": [item.body() for item in shown],
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": start + limit < len(items),
    }
