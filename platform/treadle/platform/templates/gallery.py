"""The gallery: own templates and the bundled ones they do not hide, by name."""

from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.templates.repository import find_draft, list_newest, list_versions
from treadle.platform.templates.schemas import (
    TemplateSummary,
    VersionView,
    show_bundled,
    show_bundled_version,
    show_record,
    show_version,
)


async def list_gallery(
    tx: TenantConnection, library: TemplateLibrary, *, after: str | None, limit: int
) -> list[TemplateSummary]:
    """The first templates by name after one, at most `limit`."""
    records = await list_newest(tx, after=after, limit=limit)
    own = {
        record.name: show_record(record, hides_bundled=record.name in library.bundled)
        for record in records
    }
    bundled = {
        name: show_bundled(checked)
        for name, checked in library.bundled.items()
        if after is None or name > after
    }
    return [line for _, line in sorted({**bundled, **own}.items())][:limit]


async def list_history(
    tx: TenantConnection, library: TemplateLibrary, name: str
) -> list[VersionView]:
    """The draft, own versions from the highest on, then the bundled one; raises `NotFound`."""
    draft = await find_draft(tx, name)
    records = await list_versions(tx, name)
    lines = [show_version(record) for record in ([draft] if draft else []) + records]
    if name in library.bundled:
        lines.append(show_bundled_version(library.bundled[name]))
    if not lines:
        raise NotFound("template", name)
    return lines
