from __future__ import annotations

from pathlib import Path

import pytest

from quix.exits import QuixError
from quix.link import tls


def test_a_pin_matches_its_certificate_however_it_is_written() -> None:
    der = b"certificate"
    pin = tls.fingerprint(der)
    digits = pin.removeprefix("sha256:")
    for written in (pin, digits.upper(), ":".join(digits[i : i + 2] for i in range(0, 64, 2))):
        assert tls.check_pin(written, der)
        assert not tls.check_pin(written, b"another")
    assert not tls.check_pin(pin, None)


@pytest.mark.parametrize("pin", ["sha256:", "sha1:" + "0" * 40, "0" * 63, "g" * 64])
def test_what_is_no_pin_is_refused(pin: str) -> None:
    with pytest.raises(QuixError, match="^tls_fingerprint: "):
        tls.client_context(None, pin)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(QuixError, match="^tls_cert, tls_key: "):
        tls.server_context(tmp_path / "no.crt", tmp_path / "no.key")
    with pytest.raises(QuixError, match="^tls_ca: "):
        tls.client_context(tmp_path / "no.crt", "")
