"""Queries on hooks and what they received."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.models import agents
from treadle.platform.connections.vault import Sealed
from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.errors import NotFound
from treadle.platform.hooks.models import hook_events, hooks


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook trigger that an agent took."""

    id: UUID
    agent_id: UUID
    token: str
    sealed: Sealed
    inputs: JsonObject
    dedupe: JsonValue
    created_at: datetime


@dataclass(frozen=True, slots=True)
class HookEvent:
    """What a hook received; the columns are told in `models`."""

    id: UUID
    hook_id: UUID
    message_id: str
    received_at: datetime
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    dedupe: str | None = None
    run_id: UUID | None = None
    error: str | None = None
    replay_of: UUID | None = None


async def find_hook(database: Database, token: str) -> tuple[WorkspaceId, UUID]:
    """Whose hook a token is; raises `NotFound`."""
    found = func.find_hook(token).table_valued("workspace_id", "id")
    async with database.unbound() as connection:
        row = (await connection.execute(select(found))).one_or_none()
    if row is None:
        raise NotFound("hook", token)
    return WorkspaceId(row.workspace_id), row.id


async def get_hook(tx: TenantConnection, hook: UUID) -> tuple[Hook, str]:
    """A hook and its agent's name; raises `NotFound`."""
    row = (await tx.execute(_with_agent().where(hooks.c.id == hook))).one_or_none()
    if row is None:
        raise NotFound("hook", str(hook))
    return _read(row), row.agent_name


async def list_hooks(
    tx: TenantConnection, *, before: UUID | None, limit: int
) -> list[tuple[Hook, str]]:
    """Hooks with their agents' names, newest first."""
    query = _with_agent().order_by(hooks.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(hooks.c.id < before)
    return [(_read(row), row.agent_name) for row in await tx.execute(query)]


async def hook_tokens(tx: TenantConnection, of_agents: Collection[UUID]) -> dict[UUID, str]:
    """The tokens of the hooks of some agents, by the hook's id."""
    query = select(hooks.c.id, hooks.c.token).where(hooks.c.agent_id.in_(of_agents))
    return {row.id: row.token for row in await tx.execute(query)}


async def insert_hook(tx: TenantConnection, hook: Hook) -> None:
    """Store a new hook."""
    await tx.execute(
        hooks.insert().values(
            id=hook.id,
            agent_id=hook.agent_id,
            token=hook.token,
            kek_id=hook.sealed.kek_id,
            wrapped_key=hook.sealed.wrapped_key,
            sealed=hook.sealed.sealed,
            inputs=hook.inputs,
            dedupe=hook.dedupe,
            created_at=hook.created_at,
        )
    )


async def delete_hooks(tx: TenantConnection, ids: Collection[UUID]) -> None:
    """Delete hooks and what they received."""
    await tx.execute(hooks.delete().where(hooks.c.id.in_(ids)))


async def find_first(
    tx: TenantConnection, hook: UUID, message: str, dedupe: str | None
) -> HookEvent | None:
    """The event that started a run for this message, or for this dedupe key."""
    is_same = hook_events.c.message_id == message
    if dedupe is not None:
        is_same = or_(is_same, hook_events.c.dedupe == dedupe)
    query = select(hook_events).where(
        hook_events.c.hook_id == hook, hook_events.c.run_id.is_not(None), is_same
    )
    row = (await tx.execute(query.order_by(hook_events.c.id).limit(1))).one_or_none()
    return None if row is None else _read_event(row)


async def record_event(tx: TenantConnection, event: HookEvent) -> bool:
    """Store an event in place of an earlier try that started no run; false where one did."""
    await tx.execute(
        delete(hook_events).where(
            hook_events.c.hook_id == event.hook_id,
            hook_events.c.message_id == event.message_id,
            hook_events.c.run_id.is_(None),
        )
    )
    query = insert(hook_events).values(
        id=event.id,
        hook_id=event.hook_id,
        message_id=event.message_id,
        dedupe=event.dedupe,
        received_at=event.received_at,
        headers=dict(event.headers),
        query=dict(event.query),
        body=event.body,
        run_id=event.run_id,
        error=event.error,
        replay_of=event.replay_of,
    )
    stored = query.on_conflict_do_nothing().returning(hook_events.c.id)
    return (await tx.execute(stored)).first() is not None


async def get_event(tx: TenantConnection, hook: UUID, event: UUID) -> HookEvent:
    """Return an event; raises `NotFound`."""
    query = select(hook_events).where(hook_events.c.hook_id == hook, hook_events.c.id == event)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound("event", str(event))
    return _read_event(row)


async def list_events(
    tx: TenantConnection, hook: UUID, *, before: UUID | None, limit: int
) -> list[HookEvent]:
    """A hook's events, newest first."""
    query = select(hook_events).where(hook_events.c.hook_id == hook)
    if before is not None:
        query = query.where(hook_events.c.id < before)
    rows = await tx.execute(query.order_by(hook_events.c.id.desc()).limit(limit))
    return [_read_event(row) for row in rows]


# Any: SQLAlchemy knows no types of columns declared outside its ORM.
def _with_agent() -> Select[*tuple[Any, ...]]:
    return select(hooks, agents.c.name.label("agent_name")).join(
        agents, (agents.c.workspace_id == hooks.c.workspace_id) & (agents.c.id == hooks.c.agent_id)
    )


def _read(row: Row[*tuple[Any, ...]]) -> Hook:  # Any: as above
    return Hook(
        id=row.id,
        agent_id=row.agent_id,
        token=row.token,
        sealed=Sealed(row.kek_id, row.wrapped_key, row.sealed),
        inputs=row.inputs,
        dedupe=row.dedupe,
        created_at=row.created_at,
    )


def _read_event(row: Row[*tuple[Any, ...]]) -> HookEvent:  # Any: as above
    return HookEvent(
        id=row.id,
        hook_id=row.hook_id,
        message_id=row.message_id,
        received_at=row.received_at,
        headers=row.headers,
        query=row.query,
        body=row.body,
        dedupe=row.dedupe,
        run_id=row.run_id,
        error=row.error,
        replay_of=row.replay_of,
    )
