"""`/v1/templates` and `/v1/schema/template`."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request, Response

from treadle.agents.errors import TemplateInvalid
from treadle.agents.language import check_template, template_schema
from treadle.integrations.registry import all_tools
from treadle.platform.agents.following import move_followers
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.db.database import TenantConnection
from treadle.platform.errors import UnsupportedMediaType
from treadle.platform.pagination import (
    Cursor,
    Limit,
    Page,
    make_page,
    read_cursor,
    read_offset_cursor,
)
from treadle.platform.problems import IssueView
from treadle.platform.routing import KIB, Transaction, Wired, api_router, needs
from treadle.platform.runs.family import lock_family
from treadle.platform.templates.changes import TemplateDiff, compare
from treadle.platform.templates.gallery import list_gallery, list_history
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.templates.resolution import Origin, Resolved, resolve_name
from treadle.platform.templates.schemas import (
    FollowerView,
    Rollback,
    TemplateSummary,
    TemplateView,
    Verdict,
    VersionView,
    show_template,
)
from treadle.platform.templates.service import (
    Stored,
    check_named,
    drop_template,
    publish_again,
    publish_draft,
    publish_text,
    store_draft,
)

LARGEST_TEMPLATE = 256 * KIB

router = api_router(tags=["templates"], limit=LARGEST_TEMPLATE)

Reader = Annotated[Caller, needs(Scope.TEMPLATES_READ)]
Writer = Annotated[Caller, needs(Scope.TEMPLATES_WRITE)]
VersionQuery = Annotated[
    str | None, Query(max_length=100, description="A version, a range, or `draft`.")
]

_TEXT_TYPES = {
    "", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/json",
}  # fmt: skip
_TEXT_BODY: dict[str, Any] = {  # Any: a piece of an OpenAPI document
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


@router.get("/v1/schema/template")
async def schema(_: Reader) -> dict[str, Any]:  # Any: a JSON Schema
    """Give the template language as JSON Schema 2020-12."""
    return template_schema(all_tools())


@router.get("/v1/templates")
async def gallery(
    tx: Transaction, services: Wired, _: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[TemplateSummary]:
    """List the gallery by name: own templates, and the bundled ones they do not hide."""
    lines = await list_gallery(tx, services.templates, after=read_cursor(cursor), limit=limit + 1)
    return make_page(lines, limit=limit, show=lambda line: line, position=lambda line: line.name)


@router.post("/v1/templates/validate", openapi_extra=_TEXT_BODY)
async def validate(request: Request, _: Reader) -> Verdict:
    """Check a template and say everything that is wrong with it; nothing is stored."""
    issues = check_template(await _read_body(request), tools=all_tools())
    is_valid = all(issue.severity != "error" for issue in issues)
    return Verdict(valid=is_valid, issues=[IssueView.of(issue) for issue in issues])


@router.get("/v1/templates/{name}")
async def get(
    name: str, tx: Transaction, services: Wired, _: Reader, version: VersionQuery = None
) -> TemplateView:
    """Show a template in full, the newest version unless another is asked for."""
    return _show(
        services.templates, await resolve_name(tx, services.templates, name, version=version)
    )


@router.get("/v1/templates/{name}/versions")
async def versions(
    name: str,
    tx: Transaction,
    services: Wired,
    _: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[VersionView]:
    """List a template's versions, the draft and the highest first, the bundled one last."""
    lines = await list_history(tx, services.templates, name)
    numbered = list(enumerate(lines))[read_offset_cursor(cursor) :]
    return make_page(
        numbered, limit=limit, show=lambda line: line[1], position=lambda line: line[0] + 1
    )


@router.get("/v1/templates/{name}/diff")
async def diff(
    name: str,
    tx: Transaction,
    services: Wired,
    _: Reader,
    from_: Annotated[str, Query(alias="from", max_length=100)],
    to: Annotated[str, Query(max_length=100)],
) -> TemplateDiff:
    """Compare two versions of a template, line by line and node by node."""
    old = await resolve_name(tx, services.templates, name, version=from_)
    new = await resolve_name(tx, services.templates, name, version=to)
    return compare(old.checked, new.checked)


@router.put("/v1/templates/{name}", openapi_extra=_TEXT_BODY)
async def put(
    name: str,
    request: Request,
    response: Response,
    tx: Transaction,
    services: Wired,
    caller: Writer,
    draft: bool = False,
) -> TemplateView:
    """Publish a version (201), or find that this text is published already (200)."""
    checked = check_named(services.templates, await _read_text(request), name=name)
    store = store_draft if draft else publish_text
    stored = await store(tx, checked, author=caller.key_id)
    response.status_code = HTTPStatus.CREATED if stored is Stored.NEW else HTTPStatus.OK
    resolved = Resolved(checked, Origin.OWN, draft=draft)
    if draft or stored is Stored.SAME:
        return _show(services.templates, resolved)
    return await _show_published(tx, services.templates, resolved)


@router.post("/v1/templates/{name}/publish", status_code=HTTPStatus.CREATED)
async def publish(name: str, tx: Transaction, services: Wired, caller: Writer) -> TemplateView:
    """Publish the draft."""
    checked = await publish_draft(tx, services.templates, name, author=caller.key_id)
    return await _show_published(tx, services.templates, Resolved(checked, Origin.OWN))


@router.post("/v1/templates/{name}/rollback", status_code=HTTPStatus.CREATED)
async def roll_back(
    name: str, body: Rollback, tx: Transaction, services: Wired, caller: Writer
) -> TemplateView:
    """Publish an earlier version's text again, under the next free number."""
    checked = await publish_again(tx, services.templates, name, body.to, author=caller.key_id)
    return await _show_published(tx, services.templates, Resolved(checked, Origin.OWN))


@router.delete("/v1/templates/{name}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete(name: str, tx: Transaction, services: Wired, _: Writer) -> None:
    """Delete an own template with all its versions, if no agent uses it."""
    await drop_template(tx, services.templates, name)


async def _read_text(request: Request) -> str:
    body = await _read_body(request)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise TemplateInvalid(check_template(body, tools=all_tools())) from None


async def _read_body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _TEXT_TYPES:
        raise UnsupportedMediaType(
            f"a template is application/yaml or application/json, not {media_type!r}"
        )
    return await request.body()


async def _show_published(
    tx: TenantConnection, library: TemplateLibrary, resolved: Resolved
) -> TemplateView:
    """A new version, with its children locked, and the agents that it moves."""
    await lock_family(tx, library, resolved.checked)
    moved = await move_followers(tx, library, resolved.name)
    followers = [
        FollowerView(
            agent=one.agent,
            version=one.version,
            issues=[IssueView.of(issue) for issue in one.issues],
        )
        for one in moved
    ]
    return _show(library, resolved).model_copy(update={"followers": followers})


def _show(library: TemplateLibrary, resolved: Resolved) -> TemplateView:
    hides = resolved.origin is Origin.OWN and resolved.name in library.bundled
    return show_template(resolved, hides_bundled=hides)
