"""Telling people: `notify.email`, over the installation's own mail server (`TREADLE_SMTP_URL`)."""

from treadle.integrations.notify.email import EmailParams, email, send_email

TOOLS = (email,)

__all__ = ["TOOLS", "EmailParams", "email", "send_email"]
