"""A server that looks at its fleet all the time, and receivers of what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.receivers import Hook, MailBox, hook, mail_box
from quix.server.alerting import engine, post


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.05)
    monkeypatch.setattr(post, "PAUSES", (0.2, 0.4))


@pytest.fixture
def web() -> Iterator[Hook]:
    with hook() as receiver:
        yield receiver


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailBox]:
    with mail_box(tmp_path) as box:
        # What OpenSSL trusts; its own variable, as an administrator with an authority of his own sets it.
        monkeypatch.setenv("SSL_CERT_FILE", str(box.authority))
        yield box
