"""Who is calling: turns an `Authorization` header into a `Caller`."""

import asyncio
import time
from collections.abc import Sequence
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
from treadle.platform.members.roles import SCOPES_OF, Role

REMEMBERED_S = 0.5  # a deleted key stops within 1 s, in every process
_MOST_REMEMBERED = 10_000
_FOUND = ("workspace_id", "id", "scopes", "expires_at", "member_id", "owner", "role")


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that was looked up: whose it is and what it may do.

    Attributes:
        scopes: The key's own, as far as its member's role has them.
        owner: E-mail address of its member.
    """

    workspace: WorkspaceId
    key_id: UUID
    scopes: frozenset[Scope]
    expires_at: datetime | None
    member_id: UUID | None = None
    owner: str = ""
    role: Role | None = None

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
        self._asked: dict[bytes, asyncio.Task[Caller | None]] = {}

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
        # Many requests of one key that come at once share one query.
        asked = self._asked.get(mac)
        if asked is None:
            asked = self._asked[mac] = asyncio.create_task(self._ask(mac, now))
            asked.add_done_callback(lambda _: self._asked.pop(mac, None))
        return await asyncio.shield(asked)

    async def _ask(self, mac: bytes, now: float) -> Caller | None:
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.clear()
        caller = await self._look_up(mac)
        if caller is None:
            self._remembered.pop(mac, None)
        else:
            self._remembered[mac] = (now + REMEMBERED_S, caller)
        return caller

    async def _look_up(self, mac: bytes) -> Caller | None:
        found = func.find_key(mac).table_valued(*_FOUND)
        async with self._database.unbound() as connection:
            row = (await connection.execute(select(found))).one_or_none()
        if row is None:
            return None
        return Caller(
            workspace=WorkspaceId(row.workspace_id),
            key_id=row.id,
            scopes=_bounded(row.scopes, row.role),
            expires_at=row.expires_at,
            member_id=row.member_id,
            owner=row.owner or "",
            role=None if row.role is None else Role(row.role),
        )


def _bounded(scopes: Sequence[str], role: str | None) -> frozenset[Scope]:
    own = frozenset(Scope(scope) for scope in scopes if scope in set(Scope))
    return own if role is None else own & SCOPES_OF[Role(role)]
