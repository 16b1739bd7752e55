"""What a template looks like in answers."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, StringConstraints

from treadle.agents.language import Template
from treadle.platform.problems import IssueView
from treadle.platform.routing import Body
from treadle.platform.templates.library import Checked
from treadle.platform.templates.repository import VersionRecord
from treadle.platform.templates.resolution import Origin, Resolved


class TemplateSummary(BaseModel):
    """A line of the gallery.

    Attributes:
        origin: `own` or `bundled`.
        hides_bundled: An own template that stands in for a bundled one of its name.
    """

    name: str
    version: str
    title: str
    description: str
    labels: list[str]
    origin: Origin
    draft: bool
    hides_bundled: bool


class ConnectionNeedView(BaseModel):
    """A connection the template asks for."""

    type: str
    optional: bool
    description: str | None


class Rollback(Body):
    """Which version is to be the newest again."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class FollowerView(BaseModel):
    """An agent that follows this template; `issues` say why it does not run the new version."""

    agent: str
    version: str
    issues: list[IssueView]


class TemplateView(TemplateSummary):
    """A template with its text, byte for byte as it was sent; `issues` are warnings.

    Where it was just published, `followers` are the agents that it moved or could not move.
    """

    text: str
    inputs: dict[str, dict[str, JsonValue]]
    connections: dict[str, ConnectionNeedView]
    issues: list[IssueView]
    followers: list[FollowerView] = Field(default_factory=list[FollowerView])


class VersionView(BaseModel):
    """A line of a template's history; `sha256` of its text, in hexadecimal."""

    version: str
    title: str
    origin: Origin
    draft: bool
    sha256: str
    created_at: datetime | None


class Verdict(BaseModel):
    """Whether a text could be published, and everything there is to say about it."""

    valid: bool
    issues: list[IssueView]


def show_record(record: VersionRecord, *, hides_bundled: bool) -> TemplateSummary:
    """An own template as a line."""
    return TemplateSummary(
        name=record.name,
        version=record.version,
        title=record.title,
        description=record.description,
        labels=list(record.labels),
        origin=Origin.OWN,
        draft=record.draft,
        hides_bundled=hides_bundled,
    )


def show_bundled(checked: Checked) -> TemplateSummary:
    """A bundled template as a line."""
    return _summary(checked.template, origin=Origin.BUNDLED, draft=False, hides_bundled=False)


def show_template(resolved: Resolved, *, hides_bundled: bool) -> TemplateView:
    """A template in full."""
    template = resolved.checked.template
    summary = _summary(
        template, origin=resolved.origin, draft=resolved.draft, hides_bundled=hides_bundled
    )
    return TemplateView(
        **summary.model_dump(),
        text=resolved.checked.text,
        inputs=show_inputs(template),
        connections={
            name: ConnectionNeedView(
                type=need.type, optional=need.optional, description=need.description
            )
            for name, need in template.connections.items()
        },
        issues=[IssueView.of(issue) for issue in resolved.checked.warnings],
    )


def show_inputs(template: Template) -> dict[str, dict[str, JsonValue]]:
    """Declared inputs as they are written: JSON Schemas, some `optional`."""
    return {
        name: {**declared.schema, **({"optional": True} if declared.optional else {})}
        for name, declared in template.inputs.items()
    }


def show_version(record: VersionRecord) -> VersionView:
    """A stored version as a line."""
    return VersionView(
        version=record.version,
        title=record.title,
        origin=Origin.OWN,
        draft=record.draft,
        sha256=record.sha256.hex(),
        created_at=record.created_at,
    )


def show_bundled_version(checked: Checked) -> VersionView:
    """The bundled version as a line."""
    return VersionView(
        version=checked.template.version,
        title=checked.template.title or checked.template.name,
        origin=Origin.BUNDLED,
        draft=False,
        sha256=checked.sha256.hex(),
        created_at=None,
    )


def _summary(
    template: Template, *, origin: Origin, draft: bool, hides_bundled: bool
) -> TemplateSummary:
    return TemplateSummary(
        name=template.name,
        version=template.version,
        title=template.title or template.name,
        description=template.description or "",
        labels=list(template.labels),
        origin=origin,
        draft=draft,
        hides_bundled=hides_bundled,
    )
