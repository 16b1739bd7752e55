"""Who is calling: turns an `Authorization` header into a `Caller`."""

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from treadle.platform.auth.scopes import Scope
from treadle.platform.auth.tokens import ApiKey, key_mac, read_key
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.errors import Forbidden, Unauthenticated
from treadle.platform.installation import InstallationSecret

REMEMBERED_S = 0.5  # a deleted key stops within 1 s, in every process
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that was looked up: whose it is and what it may do."""

    workspace: WorkspaceId
    key_id: UUID
    scopes: frozenset[Scope]
    expires_at: datetime | None

    def require(self, scope: Scope) -> None:
        """Raise `Forbidden` unless the key has the scope."""
        if scope not in self.scopes:
            raise Forbidden(f"this key lacks the scope {scope.value!r}", code="missing_scope")


class KeyRing:
    """Looks keys up, and remembers each for a moment so that busy callers cost no query."""

    def __init__(self, database: Database, secret: InstallationSecret) -> None:
        self._database = database
        self._pepper = secret.derive("treadle api keys")
        self._remembered: dict[bytes, tuple[float, Caller]] = {}

    def mac(self, key: ApiKey) -> bytes:
        """What is stored of a key."""
        return key_mac(self._pepper, key)

    async def authenticate(self, authorization: str | None) -> Caller:
        """Read `Bearer trd_…`; raises `Unauthenticated`, without a query if the shape is wrong."""
        if authorization is None:
            raise Unauthenticated(
                "no API key: send the header `Authorization: Bearer trd_…`", code="missing_key"
            )
        scheme, _, token = authorization.partition(" ")
        key = read_key(token.strip()) if scheme.lower() == "bearer" else None
        caller = await self._find(self.mac(key)) if key is not None else None
        if caller is None:
            raise Unauthenticated(
                "this API key is wrong, expired or deleted; make one with `treadle keys create`",
                code="invalid_key",
            )
        return caller

    async def _find(self, mac: bytes) -> Caller | None:
        now = time.monotonic()
        known = self._remembered.get(mac)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.clear()
        caller = await self._look_up(mac)
        if caller is None:
            self._remembered.pop(mac, None)
        else:
            self._remembered[mac] = (now + REMEMBERED_S, caller)
        return caller

    async def _look_up(self, mac: bytes) -> Caller | None:
        found = func.find_key(mac).table_valued("workspace_id", "id", "scopes", "expires_at")
        async with self._database.unbound() as connection:
            row = (await connection.execute(select(found))).one_or_none()
        if row is None:
            return None
        scopes = frozenset(Scope(scope) for scope in row.scopes if scope in set(Scope))
        return Caller(WorkspaceId(row.workspace_id), row.id, scopes, row.expires_at)
