"""The real side of the port `Cache`."""

import json
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from treadle.agents.values import JsonValue
from treadle.platform.cache.models import step_cache
from treadle.platform.db.database import Database
from treadle.platform.db.ids import WorkspaceId

CLEARED_AT_ONCE = 100  # expired results that a new one takes away, so that the table stays small


@dataclass(frozen=True, slots=True)
class WorkspaceCache:
    """The cache of one workspace's runs."""

    database: Database
    workspace: WorkspaceId

    async def get(self, key: str) -> JsonValue:
        """See `Cache`."""
        query = select(step_cache.c.value).where(
            step_cache.c.key == key, step_cache.c.expires_at > func.now()
        )
        async with self.database.tenant(self.workspace) as tx:
            kept = (await tx.execute(query)).scalar_one_or_none()
        value: JsonValue = None if kept is None else json.loads(kept)
        return value

    async def put(self, key: str, value: JsonValue, *, lasts: timedelta) -> None:
        """See `Cache`; clears some of what has expired."""
        kept = insert(step_cache).values(
            key=key, value=json.dumps(value), expires_at=func.now() + lasts
        )
        changed = {"value": kept.excluded.value, "expires_at": kept.excluded.expires_at}
        expired = (
            select(step_cache.c.key)
            .where(step_cache.c.expires_at <= func.now())
            .limit(CLEARED_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        async with self.database.tenant(self.workspace) as tx:
            await tx.execute(
                kept.on_conflict_do_update(index_elements=["workspace_id", "key"], set_=changed)
            )
            await tx.execute(delete(step_cache).where(step_cache.c.key.in_(expired)))
