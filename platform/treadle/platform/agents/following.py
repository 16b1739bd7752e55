"""Agents that follow their template: a newly published version moves them, if it fits them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from treadle.agents.errors import Issue
from treadle.platform.agents.errors import AgentInvalid
from treadle.platform.agents.repository import AgentRecord, followers_of, update_agent
from treadle.platform.agents.service import require_fit
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.templates.repository import keep_text
from treadle.platform.templates.resolution import Origin, resolve_name


@dataclass(frozen=True, slots=True)
class Follower:
    """An agent that was to move.

    Attributes:
        version: The one it runs now.
        issues: Why it stays where it was; empty for one that moved.
    """

    agent: str
    version: str
    issues: Sequence[Issue] = ()


async def move_followers(
    tx: TenantConnection, library: TemplateLibrary, template: str
) -> list[Follower]:
    """Let the followers of a template run the newest version in their range."""
    found = [await _move(tx, library, record) for record in await followers_of(tx, template)]
    return [follower for follower in found if follower is not None]


async def _move(
    tx: TenantConnection, library: TemplateLibrary, record: AgentRecord
) -> Follower | None:
    if record.origin == Origin.TEXT:
        return None
    try:
        resolved = await resolve_name(tx, library, record.template, version=record.follows)
    except NotFound:
        return None
    if resolved.checked.sha256 == record.sha256:
        return None
    moved = replace(
        record,
        version=resolved.version,
        origin=resolved.origin,
        sha256=resolved.checked.sha256,
        updated_at=datetime.now(UTC),
    )
    try:
        await require_fit(tx, resolved.checked, moved)
    except AgentInvalid as error:
        return Follower(record.name, record.version, error.issues or ())
    await keep_text(tx, resolved.checked)
    await update_agent(tx, moved)
    return Follower(moved.name, moved.version)
