"""Whether an agent's settings, connections and triggers fit its template; all issues at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from treadle.agents.errors import Issue
from treadle.agents.language import (
    Template,
    check_template,
    declared_inputs,
    fill_inputs,
)
from treadle.agents.language.loading import load
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import all_tools
from treadle.platform.connections.repository import find_connections
from treadle.platform.db.database import TenantConnection
from treadle.platform.problems import similar_name
from treadle.platform.templates.library import Checked


def settings_issues(checked: Checked, settings: JsonObject) -> list[Issue]:
    """What is wrong with `{model, budget, input_defaults}`."""
    issues: list[Issue] = []
    budget, defaults = settings.get("budget"), settings.get("input_defaults")
    if budget:
        issues += _issues_of_part(checked, "budget", budget, section="settings.budget")
    if isinstance(defaults, dict):
        issues += default_issues(checked.template, defaults)
    return issues


def default_issues(template: Template, defaults: Mapping[str, JsonValue]) -> list[Issue]:
    """What is wrong with defaults of inputs, of which not all need be given."""
    declared = declared_inputs(template)
    given = {name: one for name, one in declared.items() if name in defaults}
    section = "settings.input_defaults"
    return fill_inputs(given, defaults, dict(template.schemas), section=section)[1]


async def connection_issues(
    tx: TenantConnection, template: Template, bound: Mapping[str, str]
) -> list[Issue]:
    """What is wrong with bindings of logical names to connection ids."""
    ids = {name: found for name, text in bound.items() if (found := _read_id(text)) is not None}
    stored = await find_connections(tx, list(ids.values()))
    issues: list[Issue] = []
    for name, text in bound.items():
        need = template.connections.get(name)
        record = stored.get(ids[name]) if name in ids else None
        if need is None:
            hint = similar_name(name, list(template.connections))
            message = f"the template has no connection {name!r}"
            issues.append(_binding_issue(name, message, hint))
        elif record is None:
            issues.append(_binding_issue(name, f"no connection {text!r}"))
        elif record.type != need.type:
            message = f"{record.name!r} is of type {record.type}, {name!r} needs {need.type}"
            issues.append(_binding_issue(name, message))
    for name, need in template.connections.items():
        if not need.optional and name not in bound:
            hint = f"bind a connection of type {need.type}"
            issues.append(_binding_issue(name, f"{name!r} is not bound", hint))
    return issues


def trigger_issues(checked: Checked, triggers: Sequence[JsonObject]) -> list[Issue]:
    """What is wrong with a list of triggers, written as in a template."""
    return _issues_of_part(checked, "triggers", list(triggers), section="triggers")


def proposed_triggers(checked: Checked) -> list[JsonObject]:
    """The triggers a template proposes, as it writes them."""
    content = load(checked.text).content
    proposed = content.get("triggers") if isinstance(content, dict) else None
    if not isinstance(proposed, list):
        return []
    return [trigger for trigger in proposed if isinstance(trigger, dict)]


def _issues_of_part(checked: Checked, key: str, part: JsonValue, *, section: str) -> list[Issue]:
    """Check a part as if the template had it: what is written alike is checked alike."""
    content = load(checked.text).content
    if not isinstance(content, dict):
        raise TypeError("a checked template is a mapping")
    text = json.dumps({**content, key: part}, ensure_ascii=False)
    return [
        replace(issue, path=section + issue.path.removeprefix(key), line=None, column=None)
        for issue in check_template(text, tools=all_tools())
        if issue.severity == "error" and _lies_under(issue.path, key)
    ]


def _lies_under(path: str, key: str) -> bool:
    return path == key or path.startswith((f"{key}.", f"{key}["))


def _binding_issue(name: str, message: str, hint: str | None = None) -> Issue:
    return Issue("error", f"connections.{name}", None, None, message, hint)


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
