"""A mail server as a URL: `smtp://user:pw@host:587?from=treadle@example.com`, or `smtps://`."""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from treadle.integrations.errors import Delivery, ErrorClass, ToolError

TIMEOUT_S = 30.0
_PORTS = {"smtp": 25, "smtps": 465}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over, and from whom it comes."""

    host: str
    port: int
    is_tls: bool
    user: str | None
    password: str | None = field(repr=False)
    sender: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL; raises `ToolError` that does not repeat it."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ToolError(
                "TREADLE_SMTP_URL is no address of a mail server: write smtp://user:pw@host:port",
                error_class=ErrorClass.INVALID_INPUT,
                code="invalid_smtp_url",
            )
        user = unquote(parts.username) if parts.username else None
        own = user if user and "@" in user else f"treadle@{parts.hostname}"
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            is_tls=parts.scheme == "smtps",
            user=user,
            password=unquote(parts.password) if parts.password else None,
            sender=parse_qs(parts.query).get("from", [own])[0],
        )

    def send(self, message: EmailMessage, recipients: Sequence[str]) -> None:
        """Hand one mail over; blocks. Raises `ToolError` that says whether it may have left."""
        has_begun = False
        try:
            with self._connect() as session:
                self._secure(session)
                has_begun = True
                session.send_message(message, self.sender, recipients)
        except smtplib.SMTPRecipientsRefused as error:
            refused = ", ".join(error.recipients)
            raise self._failed(f"refuses {refused}", Delivery.REFUSED) from error
        except smtplib.SMTPResponseException as error:
            answer = f"answered {error.smtp_code}"
            raise self._failed(answer, Delivery.REFUSED) from error
        except (smtplib.SMTPException, OSError) as error:
            delivery = Delivery.UNKNOWN if has_begun else Delivery.NOT_SENT
            raise self._failed(f"broke off ({type(error).__name__})", delivery) from error

    def _connect(self) -> smtplib.SMTP:
        if self.is_tls:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)

    def _secure(self, session: smtplib.SMTP) -> None:
        """Encrypt where the server can, and log in; a password never crosses a network openly."""
        session.ehlo()
        is_private = self.is_tls or self.host in _LOOPBACK
        if not self.is_tls and session.has_extn("starttls"):
            session.starttls(context=ssl.create_default_context())
            session.ehlo()
            is_private = True
        if self.user is None or self.password is None:
            return
        if not is_private:
            raise ToolError(
                f"the mail server {self.host} offers no encryption, so its password is not sent:"
                " use smtps:// or another server",
                error_class=ErrorClass.DENIED,
                code="mail_not_encrypted",
            )
        session.login(self.user, self.password)

    def _failed(self, what: str, delivery: Delivery) -> ToolError:
        return ToolError(
            f"the mail server {self.host}:{self.port} {what}",
            error_class=ErrorClass.UPSTREAM,
            code="mail_failed",
            delivery=delivery,
        )
