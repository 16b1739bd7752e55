"""`/v1/batches`: what a batch is, and where it is kept."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from treadle.model_runtime.errors import RequestError
from treadle.model_runtime.server.files import write_whole
from treadle.model_runtime.server.schemas import Strict

log = logging.getLogger(__name__)
DAY_S = 24 * 60 * 60
Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]


class BatchNotFound(RequestError):
    """No batch has this id, or it belongs to another key."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"no batch {batch_id!r}", code="not_found", param="batch_id")


class BatchEnded(RequestError):
    """It cannot be cancelled any more."""

    status = HTTPStatus.CONFLICT

    def __init__(self, batch_id: str, status: str) -> None:
        super().__init__(f"batch {batch_id!r} is {status}", code="batch_ended", param="batch_id")


class BatchStatus(StrEnum):
    """OpenAI's."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ENDED = frozenset(
    {BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}
)


class BatchRequest(Strict):
    """What a client asks for."""

    input_file_id: str
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = Field(default=None, max_length=16)


@dataclass(slots=True)
class Batch:
    """One batch as it is kept.

    Attributes:
        times: When each status began, by its name.
        errors: Why the input cannot be used.
    """

    id: str
    owner: str
    endpoint: Endpoint
    input_file_id: str
    created_at: int
    expires_at: int
    metadata: dict[str, str] | None = None
    status: BatchStatus = BatchStatus.VALIDATING
    times: dict[str, int] = field(default_factory=dict[str, int])
    errors: list[dict[str, str | int | None]] = field(
        default_factory=list[dict[str, str | int | None]]
    )
    output_file_id: str | None = None
    error_file_id: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0

    def turn(self, status: BatchStatus) -> None:
        """Enter a status now."""
        self.status = status
        self.times[status] = int(time())

    def body(self) -> JsonValue:
        """As OpenAI writes it."""
        listed: list[JsonValue] = [{**error} for error in self.errors]
        metadata: JsonValue = None if self.metadata is None else {**self.metadata}
        times = {f"{name}_at": self.times.get(name) for name in BatchStatus if name != "validating"}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": listed} if listed else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status.value,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **times,
            "request_counts": {
                "total": self.total,
                "completed": self.completed,
                "failed": self.failed,
            },
            "metadata": metadata,
        }


_BATCH = TypeAdapter(Batch)


class BatchStore:
    """One folder, one JSON file per batch, always whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, body: BatchRequest, *, owner: str) -> Batch:
        """A new batch, to be looked at."""
        now = int(time())
        batch = Batch(
            id=f"batch_{token_hex(12)}",
            owner=owner,
            endpoint=body.endpoint,
            input_file_id=body.input_file_id,
            created_at=now,
            expires_at=now + DAY_S,
            metadata=body.metadata,
        )
        self.save(batch)
        return batch

    def save(self, batch: Batch) -> None:
        """Keep it as it is now."""
        write_whole(self._folder / f"{batch.id}.json", json.dumps(asdict(batch)))

    def all(self) -> Sequence[Batch]:
        """Everybody's, oldest first."""
        found = [batch for path in self._folder.glob("batch_*.json") if (batch := _read(path))]
        return sorted(found, key=lambda batch: (batch.created_at, batch.id))


def _read(path: Path) -> Batch | None:
    try:
        return _BATCH.validate_json(path.read_bytes())
    except ValidationError:
        log.exception("batch.unreadable path=%s", path)
        return None
