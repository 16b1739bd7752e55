"""From what a call names to one template: `name`, `name@range`, an object, or a text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from treadle.agents.errors import Issue
from treadle.agents.language.versions import WrongVersion
from treadle.agents.values import JsonValue
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import NotFound, Unprocessable
from treadle.platform.templates.library import Checked, TemplateLibrary
from treadle.platform.templates.repository import (
    VersionRecord,
    find_draft,
    get_text,
    list_versions,
)
from treadle.platform.templates.versions import newest_in_range

TemplateSource = str | Mapping[str, JsonValue]
"""As a body names one: a name, `name@range`, text (it has a newline), or the template itself."""


class Origin(StrEnum):
    """Where a template came from."""

    OWN = "own"
    BUNDLED = "bundled"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Resolved:
    """One template at one version."""

    checked: Checked
    origin: Origin
    draft: bool = False
    record: VersionRecord | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.checked.template.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.checked.template.version


async def resolve_source(
    tx: TenantConnection,
    library: TemplateLibrary,
    source: TemplateSource,
    *,
    version: str | None = None,
) -> Resolved:
    """Find or check the template that a body names; `version` is a range beside a plain name.

    Raises:
        NotFound: No template, or no version of it in the range.
        TemplateInvalid: A template given as text or object has errors.
        Unprocessable: A version stands beside a text, or twice.
    """
    if not isinstance(source, str):
        source = json.dumps(source, ensure_ascii=False, indent=1)
    if "\n" in source:
        if version is not None:
            raise _version_misplaced("a text has its version in itself")
        return Resolved(library.check(source), Origin.TEXT)
    name, at, wanted = source.partition("@")
    if at and version is not None:
        raise _version_misplaced(f"{source!r} names one already")
    return await resolve_name(tx, library, name, version=wanted if at else version)


async def resolve_name(
    tx: TenantConnection, library: TemplateLibrary, name: str, *, version: str | None = None
) -> Resolved:
    """Find the newest version in a range, own templates before bundled ones; raises `NotFound`.

    The range `draft` means the draft; a template that has nothing else is not found without it.
    """
    if version == "draft":
        draft = await find_draft(tx, name)
        if draft is None:
            raise NotFound("template", f"{name}@draft")
        return await load_version(tx, library, draft)
    own = {record.version: record for record in await list_versions(tx, name)}
    found = _newest(list(own), version)
    if found is not None:
        return await load_version(tx, library, own[found])
    bundled = library.bundled.get(name)
    if bundled is not None and _newest([bundled.template.version], version) is not None:
        return Resolved(bundled, Origin.BUNDLED)
    raise NotFound("template", name if version is None else f"{name}@{version}")


async def load_version(
    tx: TenantConnection, library: TemplateLibrary, record: VersionRecord
) -> Resolved:
    """Read a stored version's text."""
    checked = library.check(await get_text(tx, record.sha256))
    return Resolved(checked, Origin.OWN, draft=record.draft, record=record)


def _newest(versions: Sequence[str], wanted: str | None) -> str | None:
    try:
        return newest_in_range(versions, wanted)
    except WrongVersion as error:
        issue = Issue("error", "version", None, None, str(error))
        raise Unprocessable(str(error), code="invalid_range", issues=[issue]) from None


def _version_misplaced(reason: str) -> Unprocessable:
    message = f"`version` does not go with this template: {reason}"
    return Unprocessable(message, issues=[Issue("error", "version", None, None, message)])
