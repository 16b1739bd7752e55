"""`notify.email`: a plain mail to one or several people."""

import asyncio
from email.message import EmailMessage
from email.utils import formatdate

from pydantic import Field, field_validator

from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.notify.server import MailServer

MOST_RECIPIENTS = 50


class EmailParams(Params):
    """Who gets which mail."""

    to: str | list[str] = Field(
        description="An address, or a list of them.", json_schema_extra=DESTINATION
    )
    subject: str = Field(min_length=1, max_length=500, description="Subject of the mail.")
    text: str = Field(description="The mail itself, as plain text.")

    @field_validator("to")
    @classmethod
    def _check(cls, value: str | list[str]) -> str | list[str]:
        many = [value] if isinstance(value, str) else value
        if not 0 < len(many) <= MOST_RECIPIENTS:
            raise ValueError(f"name 1 to {MOST_RECIPIENTS} addresses")
        for one in many:
            name, at, host = one.partition("@")
            if not (name and at and host) or any(c.isspace() or c in ',;<>"' for c in one):
                raise ValueError(f"{one[:80]!r} is no e-mail address")
        return value


class Sent(Result):
    """What was handed to the mail server."""

    message_id: str
    to: list[str]


async def send_email(ctx: ToolContext, params: EmailParams) -> Sent:
    """Send a mail through the installation's mail server."""
    if ctx.mail_url is None:
        raise ToolError(
            "no mail server is configured: set TREADLE_SMTP_URL, such as smtp://user:pw@host:587",
            error_class=ErrorClass.UPSTREAM,
            code="no_mail_server",
        )
    server = MailServer.parse(ctx.mail_url)
    recipients = [params.to] if isinstance(params.to, str) else list(params.to)
    message = EmailMessage()
    message["From"] = server.sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = " ".join(params.subject.split())
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{ctx.idempotency_key}@treadle>"
    message.set_content(params.text)
    await asyncio.to_thread(server.send, message, recipients)
    return Sent(message_id=str(message["Message-ID"]), to=recipients)


# Nobody deduplicates mail: a lost answer of the server is settled by a person, never repeated.
email = tool("notify.email", effect=Effect.ONCE, reads_untrusted=False)(send_email)
