"""Those who are told of alerts: a web server that takes webhooks, and an SMTP server with TLS and a login."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from harness.server import free_port

USER, PASSWORD = "quix", "mail secret"


class Hook:
    """A web server. `taken` are the requests that it answered with 204, `refused` those that it did not.

    Attributes:
        status, answer: what it answers with from now on; a location is added to a redirect.
    """

    def __init__(self, port: int = 0) -> None:
        self.status, self.answer, self.location = 204, b"", ""
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.refused: list[tuple[dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                kept = hook.taken if hook.status == 204 else hook.refused
                kept.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(hook.status)
                if hook.location:
                    self.send_header("location", hook.location)
                self.send_header("content-length", str(len(hook.answer)))
                self.end_headers()
                self.wfile.write(hook.answer)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.taken]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def hook(port: int = 0) -> Iterator[Hook]:
    receiver = Hook(port)
    try:
        yield receiver
    finally:
        receiver.close()


class MailBox:
    """An SMTP server that wants STARTTLS, then a login; `refused` are addresses that it knows nobody of."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = folder / "mail-ca.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.mails: list[EmailMessage] = []
        self.refused: set[str] = set()
        self.recipients: list[list[str]] = []
        self._controller = Controller(
            self,
            hostname="localhost",
            port=free_port(),
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=self._login,
        )
        self._controller.start()
        self.port: int = self._controller.port

    def _login(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        return AuthResult(success=(given.login, given.password) == (USER.encode(), PASSWORD.encode()), handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert session.ssl is not None
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.recipients.append([*envelope.rcpt_tos])
        self.mails.append(mail)
        return "250 OK"

    def close(self) -> None:
        self._controller.stop()


@contextmanager
def mail_box(folder: Path) -> Iterator[MailBox]:
    box = MailBox(folder)
    try:
        yield box
    finally:
        box.close()


def password_file(folder: Path) -> Path:
    """The password of the mail box in a file, as the server wants it."""
    path = folder / "mail-password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path
