"""Queries on agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from treadle.agents.values import JsonObject
from treadle.platform.agents.errors import AgentExists
from treadle.platform.agents.models import agents
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A stored agent.

    Attributes:
        template: Name of its template; `sha256` names the text it runs.
        origin: `own`, `bundled` or `text`.
        connections: Logical names to connection ids.
        follows: The range whose newest version it runs, `None` where it is pinned.
        owner: E-mail address of the member who made it.
        triggers: As a template writes them, each with an `id` of its own.
    """

    id: UUID
    name: str
    template: str
    version: str
    origin: str
    sha256: bytes
    settings: JsonObject
    connections: Mapping[str, str]
    triggers: Sequence[JsonObject]
    created_at: datetime
    updated_at: datetime
    owner: str = ""
    follows: str | None = None


async def insert_agent(tx: TenantConnection, record: AgentRecord, *, created_by: UUID) -> None:
    """Store an agent; raises `AgentExists`."""
    values = {**_columns(record), "created_by": created_by, "created_at": record.created_at}
    values["owner"] = record.owner
    query = (
        insert(agents)
        .values(id=record.id, **values)
        .on_conflict_do_nothing(index_elements=["workspace_id", "name"])
        .returning(agents.c.id)
    )
    if (await tx.execute(query)).first() is None:
        raise AgentExists(record.name)


async def update_agent(tx: TenantConnection, record: AgentRecord) -> None:
    """Store an agent's new state; raises `AgentExists` if its new name is taken."""
    try:
        await tx.execute(agents.update().where(agents.c.id == record.id).values(_columns(record)))
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation):
            raise AgentExists(record.name) from error
        raise


async def find_agent(tx: TenantConnection, agent: str, *, lock: bool = False) -> AgentRecord:
    """Return an agent by id or name; raises `NotFound`. `lock` lets one change it at a time."""
    query = select(agents).where(_named(agent))
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("agent", agent)
    return _read(row)


async def find_agents(tx: TenantConnection, ids: Sequence[UUID]) -> dict[UUID, AgentRecord]:
    """Return those that exist, by id."""
    rows = await tx.execute(select(agents).where(agents.c.id.in_(ids)))
    return {row.id: _read(row) for row in rows}


async def list_agents(
    tx: TenantConnection, *, before: UUID | None, limit: int
) -> list[AgentRecord]:
    """Agents, newest first."""
    query = select(agents).order_by(agents.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(agents.c.id < before)
    return [_read(row) for row in await tx.execute(query)]


async def delete_agent(tx: TenantConnection, agent: str) -> None:
    """Delete an agent; raises `NotFound`."""
    result = await tx.execute(agents.delete().where(_named(agent)))
    if result.rowcount == 0:
        raise NotFound("agent", agent)


async def agents_of_template(tx: TenantConnection, template: str) -> list[str]:
    """Names of some agents that run an own template."""
    query = (
        select(agents.c.name)
        .where(agents.c.template == template, agents.c.origin == "own")
        .order_by(agents.c.name)
        .limit(MOST_NAMED)
    )
    return [row.name for row in await tx.execute(query)]


async def followers_of(tx: TenantConnection, template: str) -> list[AgentRecord]:
    """Agents that follow the versions of a template, locked."""
    query = (
        select(agents)
        .where(agents.c.template == template, agents.c.follows.is_not(None))
        .order_by(agents.c.id)
        .with_for_update()
    )
    return [_read(row) for row in await tx.execute(query)]


def _named(agent: str) -> ColumnElement[bool]:
    try:
        return agents.c.id == UUID(agent)
    except ValueError:
        return agents.c.name == agent


def _columns(record: AgentRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "template": record.template,
        "version": record.version,
        "origin": record.origin,
        "sha256": record.sha256,
        "follows": record.follows,
        "settings": record.settings,
        "connections": dict(record.connections),
        "triggers": list(record.triggers),
        "updated_at": record.updated_at,
    }


def _read(row: Row[tuple[object, ...]]) -> AgentRecord:
    return AgentRecord(
        id=row.id,
        name=row.name,
        template=row.template,
        version=row.version,
        origin=row.origin,
        sha256=row.sha256,
        settings=row.settings,
        connections=row.connections,
        triggers=row.triggers,
        created_at=row.created_at,
        updated_at=row.updated_at,
        owner=row.owner,
        follows=row.follows,
    )
