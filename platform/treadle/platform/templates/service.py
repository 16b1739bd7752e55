"""Storing templates: versions never change, one draft per template does."""

from enum import Enum, auto
from uuid import UUID

from treadle.platform.agents.repository import agents_of_template
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound
from treadle.platform.templates.errors import (
    AlreadyNewest,
    NameMismatch,
    TemplateBundled,
    TemplateInUse,
    VersionExists,
)
from treadle.platform.templates.library import Checked, TemplateLibrary
from treadle.platform.templates.renumbering import renumbered
from treadle.platform.templates.repository import (
    delete_draft,
    delete_template,
    find_draft,
    find_version,
    get_lock,
    get_text,
    has_template,
    insert_version,
    list_versions,
    put_draft,
    set_lock,
)
from treadle.platform.templates.versions import next_free


class Stored(Enum):
    """What storing a text did."""

    NEW = auto()
    SAME = auto()
    REPLACED = auto()


def check_named(library: TemplateLibrary, text: str, *, name: str) -> Checked:
    """Check a text that has to name a template; raises `TemplateInvalid` or `NameMismatch`."""
    checked = library.check(text)
    if checked.template.name != name:
        raise NameMismatch(in_path=name, in_text=checked.template.name)
    return checked


async def publish_text(tx: TenantConnection, checked: Checked, *, author: UUID) -> Stored:
    """Publish a version; raises `VersionExists` if another text has its number."""
    if await insert_version(tx, checked, created_by=author):
        return Stored.NEW
    name, version = checked.template.name, checked.template.version
    published = await find_version(tx, name, version)
    if published is not None and published.sha256 == checked.sha256:
        return Stored.SAME
    taken = {record.version for record in await list_versions(tx, name)}
    raise VersionExists(name, version, next_version=next_free(version, taken))


async def store_draft(tx: TenantConnection, checked: Checked, *, author: UUID) -> Stored:
    """Make the template's draft or replace it."""
    old = await find_draft(tx, checked.template.name)
    if old is not None and old.sha256 == checked.sha256:
        return Stored.SAME
    await put_draft(tx, checked, created_by=author)
    return Stored.NEW if old is None else Stored.REPLACED


async def publish_draft(
    tx: TenantConnection, library: TemplateLibrary, name: str, *, author: UUID
) -> Checked:
    """Publish the draft and drop it; raises `NotFound` without one, or `VersionExists`."""
    draft = await find_draft(tx, name)
    if draft is None:
        raise NotFound("draft", name)
    checked = library.check(await get_text(tx, draft.sha256))
    await publish_text(tx, checked, author=author)
    await delete_draft(tx, name)
    return checked


async def publish_again(
    tx: TenantConnection, library: TemplateLibrary, name: str, version: str, *, author: UUID
) -> Checked:
    """Publish a version's text under the next free number, with nothing but that changed.

    Raises `NotFound` without that version, or `AlreadyNewest`.
    """
    records = await list_versions(tx, name)
    wanted = next((record for record in records if record.version == version), None)
    if wanted is None:
        raise NotFound("template", f"{name}@{version}")
    if wanted is records[0]:
        raise AlreadyNewest(name, version)
    number = next_free(records[0].version, {record.version for record in records})
    text = renumbered(await get_text(tx, wanted.sha256), number)
    checked = library.check(text)
    await publish_text(tx, checked, author=author)
    lock = await get_lock(tx, wanted.sha256)
    if lock is not None:
        old, new = wanted.sha256.hex(), checked.sha256.hex()
        moved = {new if digest == old else digest: uses for digest, uses in lock.items()}
        await set_lock(tx, checked.sha256, moved)
    return checked


async def drop_template(tx: TenantConnection, library: TemplateLibrary, name: str) -> None:
    """Delete all versions of an own template that no agent uses."""
    if not await has_template(tx, name):
        raise TemplateBundled(name) if name in library.bundled else NotFound("template", name)
    users = await agents_of_template(tx, name)
    if users:
        raise TemplateInUse(name, agents=users)
    await delete_template(tx, name)
