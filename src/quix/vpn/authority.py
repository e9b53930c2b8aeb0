"""The certificate authority of the OpenVPN network: who may connect, and who may no longer.

It lives in a folder: `ca.key` (0600), `ca.crt`, and the list of the certificates that were withdrawn before their time
(RFC 5280 section 5), which is 0644, since the daemon reads it again and again and has no rights by then.
"""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from quix import files
from quix.exits import Exit, QuixError

_DAY: Final = dt.timedelta(days=1)
_CA_LIFE: Final = 30 * 365 * _DAY
_LIFE: Final = 10 * 365 * _DAY
"""How long a certificate lives. A backend keeps its own until it is withdrawn; nothing renews it in between."""

SERVER: Final = "Quix OpenVPN server"
"""The server's common name; a backend's is its id."""


class Certificate(Struct, frozen=True):
    """A certificate and its key, both PEM. The key is kept nowhere.

    `serial` is in hexadecimal; `fingerprint`, SHA-256 of the certificate in base64, says which one somebody holds.
    """

    serial: str
    fingerprint: str
    cert: str
    key: str

    def __repr__(self) -> str:
        return f"Certificate(serial={self.serial!r})"


class Authority:
    """Makes certificates and withdraws them. Its methods block: they sign, and wait for the disk.

    `crl` is where the list of withdrawn certificates is kept.

    Attributes:
        cert: the authority's own certificate, PEM.

    Raises:
        QuixError: the files in `folder` cannot be used or made.
    """

    def __init__(self, folder: Path, crl: Path) -> None:
        self._crl = crl
        try:
            self._key, self._cert, found = _open(folder, crl)
        except FileNotFoundError as error:
            raise QuixError(
                f"{error.filename} is gone; restore it from a backup, or remove {folder} and let every backend fetch "
                "its VPN configuration again",
                Exit.CONFIG,
            ) from error
        except OSError as error:
            raise QuixError(f"{error.filename or folder}: {error.strerror}", Exit.CONFIG) from error
        except (ValueError, TypeError) as error:
            raise QuixError(f"{folder}: a file cannot be read; restore it from a backup", Exit.CONFIG) from error
        self.cert = self._cert.public_bytes(serialization.Encoding.PEM).decode()
        self._withdrawn = {entry.serial_number: entry for entry in found}
        # Signed anew at each start, since openvpn takes no list that is out of date.
        self._write()

    def server(self) -> Certificate:
        """Make a certificate for the daemon."""
        return self._issue(SERVER, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str) -> Certificate:
        """Make a certificate for the client `name`."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)

    def withdraw(self, *serials: str) -> None:
        """Put certificates on the list, which is on the disk when this returns.

        Raises:
            OSError: the list could not be written; what was on it before still is.
        """
        now = dt.datetime.now(dt.UTC)
        added = {number: _entry(number, now) for number in (int(serial, 16) for serial in serials)}
        if not added.keys() - self._withdrawn.keys():
            return
        before = self._withdrawn
        self._withdrawn = {
            number: entry for number, entry in before.items() if entry.revocation_date_utc > now - _LIFE - _DAY
        } | added
        try:
            self._write()
        except OSError:
            self._withdrawn = before
            raise

    def _write(self) -> None:
        crl = _crl(self._key, self._cert, list(self._withdrawn.values()))
        files.write_public(self._crl, crl.public_bytes(serialization.Encoding.PEM))

    def _issue(self, name: str, usage: x509.ObjectIdentifier) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(name, self._cert.subject, key, _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        cert = builder.sign(self._key, hashes.SHA256())
        return Certificate(
            serial=f"{cert.serial_number:x}",
            fingerprint=base64.b64encode(cert.fingerprint(hashes.SHA256())).decode(),
            cert=cert.public_bytes(serialization.Encoding.PEM).decode(),
            key=_pem(key).decode(),
        )


def _open(
    folder: Path, crl: Path
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate, x509.CertificateRevocationList]:
    if not (folder / "ca.key").exists():
        _make(folder, crl)
    key = serialization.load_pem_private_key(files.read_private(folder / "ca.key"), None)
    cert = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    withdrawn = x509.load_pem_x509_crl(crl.read_bytes())
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        raise ValueError("the key is another one's")
    if not withdrawn.is_signature_valid(key.public_key()):
        raise ValueError("the list is another authority's")
    return key, cert, withdrawn


def _make(folder: Path, crl: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Quix OpenVPN authority"
    cert = (
        _builder(name, _name(name), key, _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    # The key last: where it is, the others are as well, and if one of them is gone then somebody removed it.
    files.write_public(crl, _crl(key, cert, []).public_bytes(serialization.Encoding.PEM))
    files.write_public(folder / "ca.crt", cert.public_bytes(serialization.Encoding.PEM))
    files.write_private(folder / "ca.key", _pem(key))


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Backends have clocks of their own.
        .not_valid_before(now - _DAY)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _crl(
    key: ec.EllipticCurvePrivateKey, cert: x509.Certificate, entries: list[x509.RevokedCertificate]
) -> x509.CertificateRevocationList:
    now = dt.datetime.now(dt.UTC)
    # All entries at once: add_revoked_certificate copies the list for each.
    builder = x509.CertificateRevocationListBuilder(revoked_certificates=entries)
    return (
        builder.issuer_name(cert.subject)
        .last_update(now - _DAY)
        .next_update(now + _LIFE)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _entry(serial: int, now: dt.datetime) -> x509.RevokedCertificate:
    return x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
