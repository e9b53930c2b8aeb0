"""Alerts by e-mail, over one SMTP server (RFC 5321, RFC 3207)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

import aiosmtplib

from quix import files
from quix.exits import Exit, QuixError, printable
from quix.server.alerting.errors import DeliveryError
from quix.server.alerting.text import Body, lines, summary
from quix.server.settings import EmailSettings

_TIMEOUT: Final = 20.0
_LONGEST_SUBJECT: Final = 150
_TOLD: Final = 300


class Mailer:
    """Sends by the server of the settings.

    Raises:
        QuixError: the file of the password cannot be used.
    """

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._password = _password(settings)

    async def send(self, to: Sequence[str], message_id: str, body: Body, trust: ssl.SSLContext) -> None:
        """Send a message to all of the addresses.

        Raises:
            DeliveryError: nobody, or not everybody, has it.
        """
        settings = self._settings
        if not settings.host:
            raise DeliveryError("e-mail is not set up at the server: its settings lack [alerts.email] host and sender")
        try:
            refused, _ = await aiosmtplib.send(
                compose(settings.sender, to, message_id, body),
                hostname=settings.host,
                port=settings.port,
                username=settings.username or None,
                password=self._password or None,
                use_tls=settings.tls == "tls",
                start_tls=settings.tls == "starttls",
                tls_context=None if settings.tls == "none" else trust,
                timeout=_TIMEOUT,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryError(f"{settings.host}:{settings.port}: {_said(error)}") from error
        if refused:
            said = "; ".join(f"{address}: {answer.code} {answer.message}" for address, answer in refused.items())
            raise PartlyDeliveredError(f"some have it, and not {printable(said)[:_TOLD]}")


class PartlyDeliveredError(DeliveryError):
    """Some of the addresses were refused: the others have the message, and are not sent it again."""


def compose(sender: str, to: Sequence[str], message_id: str, body: Body) -> EmailMessage:
    """Return a message as mail. What backends say of themselves is in it, made printable: a header has one line."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Subject"] = printable(f"[quix] {summary(body)}")[:_LONGEST_SUBJECT]
    mail["Date"] = formatdate(localtime=False)
    # The same for each attempt, so that a mailbox can tell that it has it already.
    mail["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2].rstrip('>') or 'quix'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(printable(line) for line in lines(body)) + "\n")
    return mail


def _password(settings: EmailSettings) -> str:
    if settings.password_file is None:
        return ""
    try:
        return files.read_private(settings.password_file).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise QuixError(f"alerts.email.password_file: {settings.password_file}: {error}", Exit.CONFIG) from error


def _said(error: Exception) -> str:
    """Return what an SMTP server said, on one line."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "; ".join(f"{each.recipient}: {each.code} {each.message}" for each in error.recipients)[:_TOLD]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return printable(f"{error.code} {' '.join(str(error.message).split())}")[:_TOLD]
    return printable(" ".join(str(error).split()) or type(error).__name__)[:_TOLD]
