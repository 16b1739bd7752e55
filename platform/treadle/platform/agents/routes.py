"""`/v1/agents`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

from fastapi import Response

from treadle.platform.agents.repository import delete_agent, list_agents
from treadle.platform.agents.schemas import (
    AgentChange,
    AgentSettings,
    AgentView,
    NewAgent,
    TriggerView,
)
from treadle.platform.agents.service import (
    Agent,
    change_agent,
    create_agent,
    get_agent,
    load_agent,
)
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.database import TenantConnection
from treadle.platform.hooks.repository import hook_tokens
from treadle.platform.hooks.taking import Taker, hook_url
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Transaction, Wired, api_router, needs
from treadle.platform.services import Services
from treadle.platform.templates.resolution import Origin
from treadle.platform.templates.schemas import show_inputs

router = api_router(tags=["agents"])

Reader = Annotated[Caller, needs(Scope.AGENTS_READ)]
Writer = Annotated[Caller, needs(Scope.AGENTS_WRITE)]

NO_SECRETS: Mapping[UUID, str] = MappingProxyType({})


@router.post("/v1/agents", status_code=HTTPStatus.CREATED)
async def create(body: NewAgent, tx: Transaction, services: Wired, caller: Writer) -> AgentView:
    """Make an agent: a template at a version, with settings, connections and triggers bound."""
    agent = await create_agent(tx, services.templates, caller, body)
    return await _take(tx, services, caller, agent)


@router.get("/v1/agents")
async def list_all(
    tx: Transaction, services: Wired, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[AgentView]:
    """List agents, newest first."""
    records = await list_agents(tx, before=read_id_cursor(cursor), limit=limit + 1)
    agents = [await load_agent(tx, services.templates, record) for record in records]
    shown = await _urls(tx, services, [record.id for record in records])
    return make_page(
        agents,
        limit=limit,
        show=lambda agent: _show(agent, shown),
        position=lambda agent: agent.record.id,
    )


@router.get("/v1/agents/{agent}")
async def get(agent: str, tx: Transaction, services: Wired, _: Reader) -> AgentView:
    """Show an agent, by id or name."""
    found = await get_agent(tx, services.templates, agent)
    return _show(found, await _urls(tx, services, [found.record.id]))


@router.patch("/v1/agents/{agent}")
async def change(
    agent: str, body: AgentChange, tx: Transaction, services: Wired, caller: Writer
) -> AgentView:
    """Change an agent; what the body leaves out stays."""
    changed = await change_agent(tx, services.templates, agent, body)
    return await _take(tx, services, caller, changed)


@router.delete("/v1/agents/{agent}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete(agent: str, tx: Transaction, _: Writer) -> None:
    """Delete an agent; its runs stay."""
    await delete_agent(tx, agent)


async def _take(
    tx: TenantConnection, services: Services, caller: Caller, agent: Agent
) -> AgentView:
    """Let the agent's triggers fire from now on, and show it with the secrets that are new."""
    taker = Taker(tx, services.launcher, services.vault, caller.workspace, caller.key_id)
    fresh = await taker.take(agent.record)
    return _show(agent, await _urls(tx, services, [agent.record.id]), fresh)


async def _urls(
    tx: TenantConnection, services: Services, agents: Sequence[UUID]
) -> dict[UUID, str]:
    """Where the hooks of agents receive, by the trigger's id."""
    base = services.settings.public_url or services.settings.url
    tokens = await hook_tokens(tx, agents)
    return {hook: hook_url(base, token) for hook, token in tokens.items()}


def _show(
    agent: Agent, urls: Mapping[UUID, str], secrets: Mapping[UUID, str] = NO_SECRETS
) -> AgentView:
    record = agent.record
    return AgentView(
        id=str(record.id),
        name=record.name,
        template=record.template,
        version=record.version,
        follows=record.follows,
        origin=Origin(record.origin),
        settings=AgentSettings.model_validate(record.settings),
        connections=dict(record.connections),
        triggers=[
            TriggerView(
                id=str(trigger["id"]),
                use=str(trigger["use"]),
                url=urls.get(UUID(str(trigger["id"]))),
                secret=secrets.get(UUID(str(trigger["id"]))),
            )
            for trigger in record.triggers
        ],
        inputs=show_inputs(agent.checked.template),
        created_at=record.created_at,
        updated_at=record.updated_at,
    )
