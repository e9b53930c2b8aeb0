"""tls-crypt-v2 keys against openvpn's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from quix.vpn import tls_crypt


def test_openvpn_seals_with_our_key_and_ours_have_the_size_of_its_own(tmp_path: Path) -> None:
    server = tmp_path / "server"
    server.write_text(tls_crypt.server_key())
    words = ["openvpn", "--tls-crypt-v2", str(server), "--genkey", "tls-crypt-v2-client", str(tmp_path / "client")]
    subprocess.run(words, check=True, capture_output=True)
    theirs = (tmp_path / "client").read_text()
    ours = tls_crypt.client_key(server.read_text())
    assert [len(line) for line in ours.splitlines()] == [len(line) for line in theirs.splitlines()]
    assert ours != tls_crypt.client_key(server.read_text())


def test_openvpns_own_key_seals_ours(tmp_path: Path) -> None:
    server = tmp_path / "server"
    subprocess.run(["openvpn", "--genkey", "tls-crypt-v2-server", str(server)], check=True, capture_output=True)
    assert tls_crypt.client_key(server.read_text()).startswith("-----BEGIN OpenVPN tls-crypt-v2 client key-----\n")


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN OpenVPN tls-crypt-v2 server key-----\nAAAA\n-----END\n"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|base64|padding"):
        tls_crypt.client_key(text)
