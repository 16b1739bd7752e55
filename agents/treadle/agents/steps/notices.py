"""Telling people that somebody is waited for. It is tried once; the wait stays open anyhow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from treadle.agents.ports import StepStatus
from treadle.agents.steps.turn import Turn
from treadle.integrations.errors import ToolError
from treadle.integrations.notify import EmailParams, send_email

log = structlog.get_logger(__name__)
NOTICE = "notice"
_TEXT = """\
{title}

{name} waits for a decision. Look at what will happen and answer here:

{url}

The link works once. Whoever has it can answer, so do not pass it on.
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """Who is told, of what, and where it is answered."""

    to: Sequence[str]
    title: str
    url: str


async def send_notice(turn: Turn, notice: Notice) -> None:
    """Send it unless the ledger says that it was sent; a failure is noted there as well."""
    if turn.entry(NOTICE) is not None:
        return
    await turn.journal.durable()  # who clicks at once finds the approval
    params = EmailParams(
        to=list(notice.to),
        subject=notice.title,
        text=_TEXT.format(title=notice.title, name=turn.run.facts.name, url=notice.url),
    )
    context = turn.ports.tools.context(
        step_path=turn.path, idempotency_key=turn.next_key(NOTICE), connection=None
    )
    try:
        with turn.frame.gate.working():
            await send_email(context, params)
    except ToolError as error:
        log.warning("approval.notice_failed", path=turn.path, code=error.code)
        failed = replace(turn.record(StepStatus.FAILED), error=None, output=error.message)
        turn.append_call(NOTICE, failed)
        return
    turn.append_call(NOTICE, turn.record(StepStatus.SUCCEEDED))
