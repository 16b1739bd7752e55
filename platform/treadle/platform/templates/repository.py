"""Queries on own templates: their texts, versions and drafts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, Select, null, select
from sqlalchemy.dialects.postgresql import distinct_on, insert

from treadle.agents.values import JsonObject
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import new_id
from treadle.platform.templates.library import Checked
from treadle.platform.templates.models import template_texts, template_versions
from treadle.platform.templates.versions import precedence

_v = template_versions.c


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One stored version or draft, without its text."""

    name: str
    version: str
    draft: bool
    title: str
    description: str
    labels: tuple[str, ...]
    sha256: bytes
    created_at: datetime


async def keep_text(tx: TenantConnection, checked: Checked) -> None:
    """Keep a text that a version, an agent or a run is about to refer to."""
    query = insert(template_texts).values(sha256=checked.sha256, text=checked.text)
    await tx.execute(query.on_conflict_do_nothing(index_elements=["workspace_id", "sha256"]))


async def get_text(tx: TenantConnection, digest: bytes) -> str:
    """Return a text that a row of the same workspace refers to."""
    query = select(template_texts.c.text).where(template_texts.c.sha256 == digest)
    text: str = (await tx.execute(query)).scalar_one()
    return text


async def get_lock(tx: TenantConnection, digest: bytes) -> JsonObject | None:
    """What the `template:` nodes of a text mean, if its publishing fixed it."""
    query = select(template_texts.c.children).where(template_texts.c.sha256 == digest)
    locked: JsonObject | None = (await tx.execute(query)).scalar_one_or_none()
    return locked


async def set_lock(tx: TenantConnection, digest: bytes, children: JsonObject | None) -> None:
    """Fix or free what the `template:` nodes of a text mean."""
    query = template_texts.update().where(template_texts.c.sha256 == digest)
    await tx.execute(query.values(children=null() if children is None else children))


async def insert_version(tx: TenantConnection, checked: Checked, *, created_by: UUID) -> bool:
    """Publish a version unless it is published; returns whether it was new."""
    await keep_text(tx, checked)
    query = insert(template_versions).values(**_columns(checked, draft=False, author=created_by))
    made = await tx.execute(
        query.on_conflict_do_nothing(
            index_elements=["workspace_id", "name", "version"], index_where=~_v.draft
        ).returning(_v.id)
    )
    return made.first() is not None


async def put_draft(tx: TenantConnection, checked: Checked, *, created_by: UUID) -> None:
    """Make or replace the draft of a template."""
    await keep_text(tx, checked)
    values = _columns(checked, draft=True, author=created_by)
    query = insert(template_versions).values(**values)
    await tx.execute(
        query.on_conflict_do_update(
            index_elements=["workspace_id", "name"],
            index_where=_v.draft,
            set_={key: value for key, value in values.items() if key not in {"id", "name"}},
        )
    )


async def find_version(tx: TenantConnection, name: str, version: str) -> VersionRecord | None:
    """Return a published version."""
    return await _one(tx, _published(name).where(_v.version == version))


async def find_draft(tx: TenantConnection, name: str) -> VersionRecord | None:
    """Return the draft of a template."""
    return await _one(tx, select(template_versions).where(_v.name == name, _v.draft))


async def list_versions(tx: TenantConnection, name: str) -> list[VersionRecord]:
    """Published versions, the highest first."""
    query = _published(name).order_by(_v.precedence.desc())
    return [_read(row) for row in await tx.execute(query)]


async def list_newest(
    tx: TenantConnection, *, after: str | None, limit: int
) -> list[VersionRecord]:
    """The highest version of each template, or its draft where nothing is published; by name."""
    query = (
        select(template_versions)
        .ext(distinct_on(_v.name))
        .order_by(_v.name, _v.draft, _v.precedence.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(_v.name > after)
    return [_read(row) for row in await tx.execute(query)]


async def has_template(tx: TenantConnection, name: str) -> bool:
    """Whether the workspace has a version or draft of its own of this name."""
    query = select(_v.id).where(_v.name == name).limit(1)
    return (await tx.execute(query)).first() is not None


async def delete_draft(tx: TenantConnection, name: str) -> None:
    """Delete the draft of a template."""
    await tx.execute(template_versions.delete().where(_v.name == name, _v.draft))


async def delete_template(tx: TenantConnection, name: str) -> None:
    """Delete every version and the draft; texts stay for the runs that refer to them, unlocked."""
    digests = select(_v.sha256).where(_v.name == name)
    freed = template_texts.update().where(template_texts.c.sha256.in_(digests))
    await tx.execute(freed.values(children=null()))
    await tx.execute(template_versions.delete().where(_v.name == name))


def _published(name: str) -> Select[tuple[object, ...]]:
    return select(template_versions).where(_v.name == name, ~_v.draft)


async def _one(tx: TenantConnection, query: Select[tuple[object, ...]]) -> VersionRecord | None:
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else _read(row)


def _columns(checked: Checked, *, draft: bool, author: UUID) -> dict[str, object]:
    template = checked.template
    return {
        "id": new_id(),
        "name": template.name,
        "version": template.version,
        "precedence": precedence(template.version),
        "draft": draft,
        "title": template.title or template.name,
        "description": template.description or "",
        "labels": list(template.labels),
        "sha256": checked.sha256,
        "created_by": author,
    }


def _read(row: Row[tuple[object, ...]]) -> VersionRecord:
    return VersionRecord(
        name=row.name,
        version=row.version,
        draft=row.draft,
        title=row.title,
        description=row.description,
        labels=tuple(row.labels),
        sha256=row.sha256,
        created_at=row.created_at,
    )


Versions = Sequence[VersionRecord]
