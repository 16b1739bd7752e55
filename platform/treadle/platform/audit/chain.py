"""The chain: what an entry is, and its digest."""

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from treadle.platform.db.ids import WorkspaceId
from treadle.platform.installation import InstallationSecret

ROOT = b"\0" * 32
"""Digest before the first entry."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did, or was refused.

    Attributes:
        action: Subject and verb: `keys.create`.
        object: Id or name of what it was done to; empty where that is not known.
        result: `ok` or `denied`.
    """

    actor: str
    key_id: UUID | None
    action: str
    object: str
    ip: str
    request_id: str
    result: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A deed in its place in the chain."""

    seq: int
    at: datetime
    deed: Deed
    digest: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a chain does not hold."""

    seq: int
    reason: str


class Chain:
    """Digests of one installation."""

    def __init__(self, secret: InstallationSecret) -> None:
        self._key = secret.derive("treadle audit log")

    def link(
        self, workspace: WorkspaceId, before: Entry | None, deed: Deed, *, at: datetime
    ) -> Entry:
        """The entry that follows another."""
        seq = 1 if before is None else before.seq + 1
        last = ROOT if before is None else before.digest
        return Entry(seq, at, deed, self._digest(workspace, last, seq, deed, at))

    def first_break(self, workspace: WorkspaceId, entries: Iterable[Entry]) -> Break | None:
        """Check a whole chain, from its first entry on; `None` when it holds."""
        last, expected = ROOT, 1
        for entry in entries:
            if entry.seq != expected:
                return Break(expected, "an entry is missing")
            digest = self._digest(workspace, last, entry.seq, entry.deed, entry.at)
            if not hmac.compare_digest(digest, entry.digest):
                return Break(entry.seq, "the entry was changed")
            last, expected = entry.digest, expected + 1
        return None

    def _digest(
        self, workspace: WorkspaceId, last: bytes, seq: int, deed: Deed, at: datetime
    ) -> bytes:
        row = [
            str(workspace),
            last.hex(),
            seq,
            at.astimezone(UTC).isoformat(timespec="microseconds"),
            deed.actor,
            str(deed.key_id),
            deed.action,
            deed.object,
            deed.ip,
            deed.request_id,
            deed.result,
        ]
        return hmac.digest(self._key, json.dumps(row).encode(), sha256)
