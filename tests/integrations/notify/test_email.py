"""`notify.email` against a real SMTP session: what arrives, and what may have arrived."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import pytest
from tests.doubles.mail_server import MailSink, mail_sink

from treadle.integrations.base import Effect, ToolContext
from treadle.integrations.errors import Delivery, ToolError
from treadle.integrations.notify import EmailParams, email, send_email


@dataclass
class MailContext:
    """All that the tool uses."""

    mail_url: str | None
    idempotency_key: str = "k1"


def context(url: str | None) -> ToolContext:
    return cast("ToolContext", MailContext(url))  # the rest is not for this tool


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as sink:
        yield sink


def params(**fields: object) -> EmailParams:
    return EmailParams.model_validate(
        {"to": "ada@example.com", "subject": "Hi", "text": "Grüße"} | fields
    )


async def test_a_mail_arrives(sink: MailSink) -> None:
    sent = await send_email(
        context(f"{sink.url}?from=treadle@example.com"),
        params(to=["ada@example.com", "bob@example.com"], subject="One\nBcc: eve@example.com"),
    )
    (message,) = sink.messages
    assert message["From"] == "treadle@example.com"
    assert message["To"] == "ada@example.com, bob@example.com"
    assert message["Subject"] == "One Bcc: eve@example.com"
    assert message["Bcc"] is None
    assert message["Message-ID"] == sent.message_id == "<k1@treadle>"
    assert message.get_content().strip() == "Grüße"


async def test_a_refused_recipient_surely_got_nothing(sink: MailSink) -> None:
    sink.refused = {"ada@example.com"}
    with pytest.raises(ToolError) as caught:
        await send_email(context(sink.url), params())
    assert caught.value.delivery is Delivery.REFUSED
    assert sink.messages == []


async def test_a_lost_answer_leaves_it_unknown(sink: MailSink) -> None:
    sink.is_forgetful = True
    with pytest.raises(ToolError) as caught:
        await send_email(context(sink.url), params())
    assert caught.value.delivery is Delivery.UNKNOWN


async def test_a_server_that_is_away_got_nothing() -> None:
    with pytest.raises(ToolError) as caught:
        await send_email(context("smtp://127.0.0.1:1"), params())
    assert caught.value.delivery is Delivery.NOT_SENT


@pytest.mark.parametrize("url", [None, "http://mail.example", "smtp://"])
async def test_without_a_server_it_says_what_to_set(url: str | None) -> None:
    with pytest.raises(ToolError, match="TREADLE_SMTP_URL"):
        await send_email(context(url), params())


async def test_a_password_does_not_cross_a_network_openly(sink: MailSink) -> None:
    local = sink.url.replace("127.0.0.1", "u:hidden@127.0.0.2")
    with pytest.raises(ToolError) as caught:
        await send_email(context(local), params())
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize("to", ["", "nobody", "a@b, c@d", [], ["a@b"] * 51, "a@b\nBcc: c@d"])
def test_what_is_no_address_is_refused(to: object) -> None:
    with pytest.raises(ValueError, match="to"):
        params(to=to)


def test_mail_is_never_repeated_by_itself() -> None:
    assert email.effect_of(params()) is Effect.ONCE
    assert email.destinations == {"to"}
