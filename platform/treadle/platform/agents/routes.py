"""`/v1/agents`."""

from http import HTTPStatus
from typing import Annotated

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
from treadle.platform.pagination import Cursor, Limit, Page, make_page, read_id_cursor
from treadle.platform.routing import Transaction, Wired, api_router, needs
from treadle.platform.templates.resolution import Origin
from treadle.platform.templates.schemas import show_inputs

router = api_router(tags=["agents"])

Reader = Annotated[Caller, needs(Scope.AGENTS_READ)]
Writer = Annotated[Caller, needs(Scope.AGENTS_WRITE)]


@router.post("/v1/agents", status_code=HTTPStatus.CREATED)
async def create(body: NewAgent, tx: Transaction, services: Wired, caller: Writer) -> AgentView:
    """Make an agent: a template at a version, with settings, connections and triggers bound."""
    return _show(await create_agent(tx, services.templates, caller, body))


@router.get("/v1/agents")
async def list_all(
    tx: Transaction, services: Wired, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[AgentView]:
    """List agents, newest first."""
    records = await list_agents(tx, before=read_id_cursor(cursor), limit=limit + 1)
    agents = [await load_agent(tx, services.templates, record) for record in records]
    return make_page(agents, limit=limit, show=_show, position=lambda agent: agent.record.id)


@router.get("/v1/agents/{agent}")
async def get(agent: str, tx: Transaction, services: Wired, _: Reader) -> AgentView:
    """Show an agent, by id or name."""
    return _show(await get_agent(tx, services.templates, agent))


@router.patch("/v1/agents/{agent}")
async def change(
    agent: str, body: AgentChange, tx: Transaction, services: Wired, _: Writer
) -> AgentView:
    """Change an agent; what the body leaves out stays."""
    return _show(await change_agent(tx, services.templates, agent, body))


@router.delete("/v1/agents/{agent}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete(agent: str, tx: Transaction, _: Writer) -> None:
    """Delete an agent; its runs stay."""
    await delete_agent(tx, agent)


def _show(agent: Agent) -> AgentView:
    record = agent.record
    return AgentView(
        id=str(record.id),
        name=record.name,
        template=record.template,
        version=record.version,
        origin=Origin(record.origin),
        settings=AgentSettings.model_validate(record.settings),
        connections=dict(record.connections),
        triggers=[
            TriggerView(id=str(trigger["id"]), use=str(trigger["use"]))
            for trigger in record.triggers
        ],
        inputs=show_inputs(agent.checked.template),
        created_at=record.created_at,
        updated_at=record.updated_at,
    )
