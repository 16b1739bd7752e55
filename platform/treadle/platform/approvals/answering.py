"""The page of an approval: opened with a token, answered once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import parse_qs

from treadle.platform.approvals.errors import WrongAnswer
from treadle.platform.approvals.fields import read_form
from treadle.platform.approvals.page import approval_page, notice_page
from treadle.platform.approvals.repository import WaitRecord, find_wait, workspace_of
from treadle.platform.approvals.service import decide, declared_form
from treadle.platform.approvals.showing import label_of
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.leases import ENDED
from treadle.platform.errors import Conflict, NotFound
from treadle.platform.services import Services

LINK_LASTS = timedelta(days=30)
BY_LINK = "link"
_MOST_FIELDS = 200


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A page to send."""

    status: HTTPStatus
    html: str


@dataclass(frozen=True, slots=True)
class _Opened:
    workspace: WorkspaceId
    approval: WaitRecord


async def open_page(services: Services, token: str) -> PageAnswer:
    """The form, or why there is none."""
    opened = await _open(services, token)
    if isinstance(opened, PageAnswer):
        return opened
    return PageAnswer(HTTPStatus.OK, approval_page(opened.approval))


async def answer_page(services: Services, token: str, body: bytes) -> PageAnswer:
    """Take the answer; a wrong one shows the form again, with what is wrong."""
    opened = await _open(services, token)
    if isinstance(opened, PageAnswer):
        return opened
    approval = opened.approval
    try:
        sent = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return PageAnswer(HTTPStatus.BAD_REQUEST, approval_page(approval))
    texts = {name: values[-1] for name, values in sent.items()}
    action = texts.pop("action", "")
    try:
        async with services.database.tenant(opened.workspace) as tx:
            form = read_form(declared_form(approval), texts)
            await decide(tx, services.templates, approval, action=action, form=form, by=BY_LINK)
    except WrongAnswer as wrong:
        html = approval_page(approval, texts=texts, issues=wrong.issues or [])
        return PageAnswer(HTTPStatus.UNPROCESSABLE_ENTITY, html)
    except Conflict:
        return _gone()
    services.runs.signal([approval.run])
    text = f"Your answer is in: {label_of(action)}. The run goes on, and you can close this page."
    return PageAnswer(HTTPStatus.OK, notice_page("Thank you", text, is_good=True))


async def _open(services: Services, token: str) -> _Opened | PageAnswer:
    wait = services.tokens.read_page(token)
    workspace = None if wait is None else await workspace_of(services.database, wait)
    if wait is None or workspace is None:
        return _unknown()
    try:
        async with services.database.tenant(workspace) as tx:
            approval = await find_wait(tx, wait, kind="approval")
    except NotFound:
        return _unknown()
    now = datetime.now(UTC)
    ends = approval.until or approval.created_at + LINK_LASTS
    if not approval.is_open or approval.run_status in ENDED or ends <= now:
        return _gone()
    return _Opened(workspace, approval)


def _unknown() -> PageAnswer:
    text = "This link leads to no approval. Open the whole link from the message."
    return PageAnswer(HTTPStatus.NOT_FOUND, notice_page("Nothing here", text))


def _gone() -> PageAnswer:
    text = "This was answered already, its time is over, or its run was ended."
    return PageAnswer(HTTPStatus.GONE, notice_page("Nothing to decide any more", text))
