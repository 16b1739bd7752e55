"""Answering: checked against what was asked, given once, and told to the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from treadle.agents.errors import Issue
from treadle.agents.language import fill_inputs
from treadle.agents.nodes.inputs import Input
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.approvals.errors import AlreadyAnswered, WrongAnswer
from treadle.platform.approvals.repository import WaitRecord, answer_wait
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine.leases import ENDED
from treadle.platform.problems import similar_name
from treadle.platform.runs.errors import RunFinished
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.templates.repository import get_text


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was accepted."""

    action: str
    form: JsonObject
    by: str
    at: datetime


async def decide(
    tx: TenantConnection,
    library: TemplateLibrary,
    approval: WaitRecord,
    *,
    action: str,
    form: Mapping[str, JsonValue],
    by: str,
) -> Given:
    """Answer an approval; raises `Conflict` or `WrongAnswer`."""
    if approval.run_status in ENDED:
        raise RunFinished(approval.run, approval.run_status)
    if not approval.is_open:
        raise AlreadyAnswered(approval.path)
    checked = library.known(approval.sha256) or library.check(await get_text(tx, approval.sha256))
    filled, issues = fill_inputs(
        declared_form(approval), form, dict(checked.template.schemas), section="form"
    )
    issues = [*_action_issues(approval, action), *issues]
    if issues:
        raise WrongAnswer(issues)
    at = await answer_wait(tx, approval, {"action": action, "form": filled}, by=by)
    return Given(action, filled, by, at)


def actions_of(approval: WaitRecord) -> list[str]:
    """What can be answered."""
    actions = approval.asked.get("actions")
    return [str(action) for action in actions] if isinstance(actions, list) else []


def declared_form(approval: WaitRecord) -> dict[str, Input]:
    """The form, as inputs are declared."""
    form = approval.asked.get("form")
    declared: dict[str, Input] = {}
    for name, schema in form.items() if isinstance(form, dict) else ():
        if isinstance(schema, dict):
            rest = {key: value for key, value in schema.items() if key != "optional"}
            declared[name] = Input(rest, optional=schema.get("optional") is True)
    return declared


def _action_issues(approval: WaitRecord, action: str) -> list[Issue]:
    actions = actions_of(approval)
    if action in actions:
        return []
    message = f"no action {action[:80]!r}; there are {', '.join(actions)}"
    return [Issue("error", "action", None, None, message, similar_name(action, actions))]
