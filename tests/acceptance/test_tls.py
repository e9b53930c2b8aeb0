"""wss://, with a certificate that an authority signed and with one that is pinned."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from acceptance.house import House, Server


class Certificates:
    """An authority, and a certificate for `localhost` by it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(self.key))


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def server(house: House, certificates: Certificates) -> Server:
    return house.server(f"--tls-cert={certificates.cert}", f"--tls-key={certificates.key}")


@pytest.fixture
def pinned(house: House) -> Server:
    """A server that made its own certificate."""
    return house.server("--tls-self-signed")


@pytest.fixture
def eavesdropper() -> Iterator[socket.socket]:
    """A TCP socket that listens where an agent dials, and has no certificate."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def url(server: Server, host: str = "localhost") -> str:
    return f"wss://{host}:{server.port}/wsi"


def fingerprint(server: Server) -> str:
    found = re.search(r"sha256:[0-9a-f]{64}", server.text)
    assert found, server.text
    return found[0]


# -- an authority -------------------------------------------------------------------------------


def test_an_agent_trusts_the_authority_it_was_told_to(house: House, server: Server, certificates: Certificates) -> None:
    house.agent(url(server), f"--tls-ca={certificates.ca}")
    rest = server.rest()
    backend = rest.wait_online()
    pid = rest.execute(backend, "sleep", "1000")
    assert rest.signal(backend, pid, "SIGTERM").status_code == 200


def test_an_agent_does_not_trust_an_authority_it_was_not_told_of(house: House, server: Server) -> None:
    agent = house.agent(url(server))
    agent.wait_for("not trusted")
    assert server.rest().backends() == []


def test_a_certificate_is_for_the_name_it_was_made_for(
    house: House, server: Server, certificates: Certificates
) -> None:
    agent = house.agent(url(server, "127.0.0.1"), f"--tls-ca={certificates.ca}")
    agent.wait_for("not trusted")
    assert server.rest().backends() == []


def test_old_versions_of_tls_are_not_spoken(server: Server, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=certificates.ca)
    with (
        socket.create_connection(("127.0.0.1", server.port)) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as secured,
    ):
        assert secured.version() == "TLSv1.3"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", server.port)) as sock,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(sock)


def test_plain_text_to_a_tls_server_is_no_way_in(house: House, server: Server) -> None:
    agent = house.agent(f"ws://127.0.0.1:{server.port}/wsi")
    agent.wait_for("server not reached")
    assert agent.is_running
    assert server.rest().backends() == []


@pytest.mark.parametrize("files", ["missing", "swapped", "other key"])
def test_files_that_do_not_fit_are_78(house: House, certificates: Certificates, tmp_path: Path, files: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    cert, key = {
        "missing": (tmp_path / "no.pem", certificates.key),
        "swapped": (certificates.key, certificates.cert),
        "other key": (certificates.cert, Certificates(other).key),
    }[files]
    done = house.quix("server", f"--data-dir={house.root / 'server'}", f"--tls-cert={cert}", f"--tls-key={key}",
                      "--listen=127.0.0.1:0", "--http=127.0.0.1:0")  # fmt: skip
    assert done.returncode == 78
    assert "tls_cert" in done.stderr


# -- a pin --------------------------------------------------------------------------------------


def test_a_self_signed_server_is_known_by_the_fingerprint_it_prints(house: House, pinned: Server) -> None:
    house.agent(url(pinned, "127.0.0.1"), f"--tls-fingerprint={fingerprint(pinned)}")
    pinned.rest().wait_online()
    with socket.create_connection(("127.0.0.1", pinned.port)) as sock:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(sock) as secured:
            der = secured.getpeercert(binary_form=True)
    assert der is not None
    assert fingerprint(pinned) == "sha256:" + hashlib.sha256(der).hexdigest()


def test_the_fingerprint_stays_when_the_server_starts_again(house: House, pinned: Server) -> None:
    before = fingerprint(pinned)
    assert pinned.terminate() == 0
    key = next(iter((pinned.data_dir / "tls").glob("*key*")))
    assert key.stat().st_mode & 0o077 == 0
    assert fingerprint(house.again(pinned, "--tls-self-signed")) == before


def test_another_certificate_than_the_pinned_one_is_refused_before_a_secret_is_sent(
    house: House, pinned: Server
) -> None:
    agent = house.agent(url(pinned, "127.0.0.1"), "--tls-fingerprint=sha256:" + "0" * 64)
    assert agent.wait() == 76
    assert "pinned" in agent.text
    assert pinned.rest().backends() == []
    assert "authenticat" not in pinned.text


def test_a_pin_that_is_none_is_78(house: House, pinned: Server) -> None:
    agent = house.agent(url(pinned, "127.0.0.1"), "--tls-fingerprint=sha256:12")
    assert agent.wait() == 78
    assert "tls_fingerprint" in agent.text


def test_an_agent_without_a_pin_does_not_trust_a_self_signed_server(house: House, pinned: Server) -> None:
    agent = house.agent(url(pinned))
    agent.wait_for("not trusted")
    assert pinned.rest().backends() == []


def test_nothing_is_sent_in_the_clear_to_who_speaks_no_tls(house: House, eavesdropper: socket.socket) -> None:
    house.agent(f"wss://localhost:{eavesdropper.getsockname()[1]}/wsi")
    connection, _ = eavesdropper.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        connection.settimeout(5)
        heard = b""
        try:
            while chunk := connection.recv(65536):
                heard += chunk
        except (TimeoutError, ConnectionError):
            pass
    assert heard.startswith(b"\x16\x03")  # a TLS handshake, and nothing after it
    assert b"gate" not in heard
    assert b"correct horse" not in heard
