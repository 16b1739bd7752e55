"""Making and changing agents: what is bound is checked as a whole, against one version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.binding import (
    connection_issues,
    proposed_triggers,
    settings_issues,
    trigger_issues,
)
from treadle.platform.agents.errors import AgentInvalid
from treadle.platform.agents.repository import (
    AgentRecord,
    find_agent,
    insert_agent,
    update_agent,
)
from treadle.platform.agents.schemas import AgentChange, NewAgent
from treadle.platform.auth.callers import Caller
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.errors import Unprocessable
from treadle.platform.templates.library import Checked, TemplateLibrary
from treadle.platform.templates.repository import get_text, keep_text
from treadle.platform.templates.resolution import (
    Origin,
    Resolved,
    TemplateSource,
    resolve_source,
)
from treadle.platform.templates.versions import is_version


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent and the template it runs."""

    record: AgentRecord
    checked: Checked


async def create_agent(
    tx: TenantConnection, library: TemplateLibrary, caller: Caller, new: NewAgent
) -> Agent:
    """Make an agent; raises `AgentExists`, `AgentInvalid` or what `resolve_source` does."""
    resolved = await resolve_source(tx, library, new.template, version=new.version)
    now = datetime.now(UTC)
    record = AgentRecord(
        id=new_id(),
        name=new.name,
        template=resolved.name,
        version=resolved.version,
        origin=resolved.origin,
        sha256=resolved.checked.sha256,
        settings=new.settings.model_dump(),
        connections=new.connections,
        triggers=_taken(resolved.checked, new.triggers),
        created_at=now,
        updated_at=now,
        owner=caller.owner,
        follows=_followed(new.template, new.version),
    )
    await require_fit(tx, resolved.checked, record)
    await keep_text(tx, resolved.checked)
    await insert_agent(tx, record, created_by=caller.key_id)
    return Agent(record, resolved.checked)


async def get_agent(tx: TenantConnection, library: TemplateLibrary, agent: str) -> Agent:
    """Return an agent by id or name; raises `NotFound`."""
    return await load_agent(tx, library, await find_agent(tx, agent))


async def load_agent(tx: TenantConnection, library: TemplateLibrary, record: AgentRecord) -> Agent:
    """Read the template that an agent runs."""
    return Agent(record, library.known(record.sha256) or await _stored(tx, library, record))


async def change_agent(
    tx: TenantConnection, library: TemplateLibrary, agent: str, change: AgentChange
) -> Agent:
    """Change an agent; raises as `create_agent` does, and `NotFound`."""
    record = await find_agent(tx, agent, lock=True)
    resolved = await _resolved_anew(tx, library, record, change)
    checked = resolved.checked
    changed = replace(
        record,
        name=change.name or record.name,
        template=resolved.name,
        version=resolved.version,
        origin=resolved.origin,
        sha256=checked.sha256,
        follows=_followed_anew(record, change),
        settings=record.settings if change.settings is None else change.settings.model_dump(),
        connections=record.connections if change.connections is None else change.connections,
        triggers=_taken(
            checked,
            record.triggers if change.triggers is None else change.triggers,
            kept=record.triggers,
        ),
        updated_at=datetime.now(UTC),
    )
    await require_fit(tx, checked, changed)
    await keep_text(tx, checked)
    await update_agent(tx, changed)
    return Agent(changed, checked)


async def require_fit(tx: TenantConnection, checked: Checked, record: AgentRecord) -> None:
    """Raise `AgentInvalid` with all that does not fit the template."""
    issues = settings_issues(checked, record.settings)
    issues += await connection_issues(tx, checked.template, record.connections)
    issues += trigger_issues(checked, [_as_written(trigger) for trigger in record.triggers])
    if issues:
        raise AgentInvalid(issues)


async def _resolved_anew(
    tx: TenantConnection, library: TemplateLibrary, record: AgentRecord, change: AgentChange
) -> Resolved:
    source = change.template
    if source is None and change.version is None:
        return Resolved((await load_agent(tx, library, record)).checked, Origin(record.origin))
    if source is None and record.origin == Origin.TEXT:
        raise Unprocessable("this agent runs a text of its own: change `template`, not `version`")
    return await resolve_source(tx, library, source or record.template, version=change.version)


def _followed(source: TemplateSource, version: str | None) -> str | None:
    """The range that an agent was given; an exact version, the draft or none pins it."""
    if isinstance(source, str) and "\n" not in source and "@" in source:
        version = source.partition("@")[2]
    if version is None or version == "draft" or is_version(version):
        return None
    return version


def _followed_anew(record: AgentRecord, change: AgentChange) -> str | None:
    if change.template is None and change.version is None:
        return record.follows
    return _followed(change.template or record.template, change.version)


async def _stored(tx: TenantConnection, library: TemplateLibrary, record: AgentRecord) -> Checked:
    return library.check(await get_text(tx, record.sha256))


def _taken(
    checked: Checked, triggers: bool | Sequence[JsonObject], *, kept: Sequence[JsonObject] = ()
) -> list[JsonObject]:
    """The triggers an agent takes, each with an id; one that is written as before keeps its own."""
    if isinstance(triggers, bool):
        triggers = proposed_triggers(checked) if triggers else []
    known, taken = list(kept), list[JsonObject]()
    for trigger in map(_as_written, triggers):
        same = next((one for one in known if _as_written(one) == trigger), None)
        if same is not None:
            known.remove(same)
        taken.append(same or {**trigger, "id": str(new_id())})
    return taken


def _as_written(trigger: Mapping[str, JsonValue]) -> JsonObject:
    return {key: value for key, value in trigger.items() if key != "id"}
