"""`POST /v1/agents/{agent}/plan`."""

from typing import Annotated

from treadle.agents.plan import make_plan
from treadle.integrations.registry import all_tools
from treadle.platform.agents.service import get_agent
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.plans.history import spent_by_runs
from treadle.platform.plans.schemas import PlannedRun, PlanView
from treadle.platform.routing import Transaction, Wired, api_router, needs
from treadle.platform.runs.inputs import fill_in

router = api_router(tags=["agents"])

Reader = Annotated[Caller, needs(Scope.AGENTS_READ)]


@router.post("/v1/agents/{agent}/plan")
async def plan(
    agent: str, body: PlannedRun, tx: Transaction, services: Wired, _: Reader
) -> PlanView:
    """Say what a run with these inputs would need; nothing runs."""
    found = await get_agent(tx, services.templates, agent)
    record, template = found.record, found.checked.template
    made = make_plan(
        template,
        all_tools(),
        inputs=fill_in(template, body.inputs, record.settings),
        connections={name: name in record.connections for name in template.connections},
        history=await spent_by_runs(tx, record.id, record.sha256),
    )
    return PlanView.model_validate(made)
