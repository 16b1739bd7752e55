"""One request with a key: it either creates, or is answered as the first one was."""

import asyncio
import json
from datetime import UTC
from http import HTTPStatus

from fastapi import Request, Response

from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.idempotency.answers import AnswerSeal
from treadle.platform.idempotency.errors import KeyInProgress, KeyReused, Replay
from treadle.platform.idempotency.fingerprint import fingerprint
from treadle.platform.idempotency.repository import (
    KeyedAnswer,
    KeyRow,
    find_key,
    finish_key,
    insert_key,
    try_lock,
)

WAIT_S = 5.0
"""How long a request waits for the answer of the first one; fixed by the contract."""

ABANDONED_S = 70.0
"""A request waits at most 60 s for its run: after this time its process must have died."""

REPLAYED = "Idempotency-Replayed"
_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2)


class Attempt:
    """A request with a key, from its arrival to its answer."""

    def __init__(
        self, request: Request, key: str, *, workspace: WorkspaceId, seal: AnswerSeal
    ) -> None:
        self._request = request
        self._key = key
        self._workspace = workspace
        self._seal = seal
        self._fingerprint = b""
        self._tx: TenantConnection | None = None
        self._is_open = False
        self._deadline = asyncio.get_running_loop().time() + WAIT_S
        self._pauses = 0

    async def begin(self, tx: TenantConnection) -> bool:
        """Take the key for what this transaction creates; false where another has it now.

        Raises `Replay` when there is an answer, and `KeyReused`.
        """
        await self.look(tx)
        if not await try_lock(tx, self._workspace, self._key):
            return False
        await self.look(tx)  # between the first look and the lock another may have finished
        self._tx = tx
        return True

    async def look(self, tx: TenantConnection) -> None:
        """Raise `Replay` when there is an answer, and `KeyReused`."""
        self._fingerprint = self._fingerprint or await fingerprint(self._request)
        row = await find_key(tx, self._key)
        if row is None:
            return
        if row.fingerprint != self._fingerprint:
            raise KeyReused(self._key)
        if row.is_final or row.age_s > ABANDONED_S:
            raise Replay(self._show(row))

    async def pause(self) -> None:
        """Wait a moment for the other request; raises `KeyInProgress` when that took too long."""
        if asyncio.get_running_loop().time() > self._deadline:
            raise KeyInProgress(self._key)
        await asyncio.sleep(_PAUSES_S[min(self._pauses, len(_PAUSES_S) - 1)])
        self._pauses += 1

    async def answer_of_the_first(self, database: Database) -> Response:
        """The other request's answer; raises `KeyInProgress` when it does not come."""
        while True:
            try:
                async with database.tenant(self._workspace) as tx:
                    await self.look(tx)
            except Replay as replay:
                return replay.response
            await self.pause()

    def accepted(self, content: object, *, is_final: bool) -> KeyedAnswer:
        """The row to store with a run: 202 and the run, whose `created_at` comes of the row."""
        self._is_open = not is_final
        sealed = self._sealed(json.dumps(content).encode())
        status = HTTPStatus.ACCEPTED
        return KeyedAnswer(self._key, self._fingerprint, status, sealed, is_final)

    async def keep(self, response: Response, database: Database) -> None:
        """Store the answer, in the transaction that created if the route has one."""
        sealed = self._sealed(bytes(response.body))
        if self._tx is not None:
            await insert_key(
                self._tx,
                self._key,
                fingerprint=self._fingerprint,
                status=response.status_code,
                sealed=sealed,
            )
        elif self._is_open:
            async with database.tenant(self._workspace) as tx:
                await finish_key(tx, self._key, status=response.status_code, sealed=sealed)

    def _sealed(self, body: bytes) -> bytes:
        return self._seal.seal(body, self._workspace, self._key)

    def _show(self, row: KeyRow) -> Response:
        body = self._seal.open(row.sealed, self._workspace, self._key)
        if row.run_id is not None:
            body = _dated(body, row)
        return Response(
            body,
            status_code=row.status,
            media_type="application/json",
            headers={REPLAYED: "true"},
        )


def _dated(body: bytes, row: KeyRow) -> bytes:
    """Fill in when the run was accepted: by the same clock and transaction as this row."""
    shown = json.loads(body)
    if shown["created_at"] is not None:
        return body
    shown["created_at"] = row.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps(shown, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
