"""`/v1/files`: what batches read and write, kept in a folder."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from time import time
from typing import BinaryIO

from pydantic import JsonValue, TypeAdapter, ValidationError

from treadle.model_runtime.errors import BadRequest, RequestError

PURPOSES = frozenset({"batch"})  # what clients may upload
_ID = re.compile(r"file-[0-9a-f]{24}")


class FileNotFound(RequestError):
    """No file has this id, or it belongs to another key."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, file_id: str) -> None:
        super().__init__(f"no file {file_id!r}", code="not_found", param="file_id")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a file; `owner` is the fingerprint of the key that made it."""

    id: str
    owner: str
    filename: str
    purpose: str
    bytes: int
    created_at: int

    def body(self) -> JsonValue:
        """As OpenAI writes it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


_STORED = TypeAdapter(StoredFile)


class FileStore:
    """One folder; each file has its bytes under its id, and what is known of it beside them.

    The description is written last and by renaming: without one there is no file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, content: BinaryIO, *, owner: str, filename: str, purpose: str) -> StoredFile:
        """Keep these bytes."""
        file_id = f"file-{token_hex(12)}"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path(file_id).open("wb") as target:
            size = sum(target.write(part) for part in iter(lambda: content.read(1 << 20), b""))
        return self.describe(file_id, size, owner=owner, filename=filename, purpose=purpose)

    def describe(
        self, file_id: str, size: int, *, owner: str, filename: str, purpose: str
    ) -> StoredFile:
        """Make the bytes that lie under this id a file."""
        found = StoredFile(file_id, owner, filename, purpose, size, int(time()))
        write_whole(self._description(file_id), json.dumps(asdict(found)))
        return found

    def get(self, file_id: str, *, owner: str) -> StoredFile:
        """Raises `FileNotFound` for another owner's too."""
        found = self._read(self._description(file_id)) if _ID.fullmatch(file_id) else None
        if found is None or found.owner != owner:
            raise FileNotFound(file_id)
        return found

    def all(self, *, owner: str) -> list[StoredFile]:
        """An owner's, newest first."""
        found = [file for path in self._folder.glob("file-*.json") if (file := self._read(path))]
        mine = [file for file in found if file.owner == owner]
        return sorted(mine, key=lambda file: (-file.created_at, file.id))

    def delete(self, file_id: str, *, owner: str) -> None:
        """Raises `FileNotFound` as `get` does."""
        self.get(file_id, owner=owner)
        self._description(file_id).unlink(missing_ok=True)
        self.path(file_id).unlink(missing_ok=True)

    def path(self, file_id: str) -> Path:
        """Where the bytes lie."""
        return self._folder / file_id

    def lines(self, file_id: str) -> Iterator[str]:
        """The lines of a text, without the empty ones.

        Raises:
            BadRequest: It is no UTF-8.
        """
        try:
            with self.path(file_id).open(encoding="utf-8") as text:
                yield from (line for line in text if line.strip())
        except UnicodeDecodeError as error:
            raise BadRequest(f"the file is not UTF-8: {error}", code="invalid_file") from None

    def _description(self, file_id: str) -> Path:
        return self._folder / f"{file_id}.json"

    def _read(self, path: Path) -> StoredFile | None:
        try:
            return _STORED.validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def write_whole(path: Path, text: str) -> None:
    """Write so that whoever reads finds the old text or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    beside.replace(path)
