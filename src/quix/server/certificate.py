"""A certificate for servers without a public name; agents pin its fingerprint."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quix.files import write_private
from quix.link.tls import fingerprint
from quix.server.settings import ServerSettings

_YEARS: Final = 10


def tls_files(settings: ServerSettings) -> tuple[Path, Path] | None:
    """Return the certificate and key the server shows, or None where it speaks plain text."""
    if settings.tls_cert is not None and settings.tls_key is not None:
        return settings.tls_cert, settings.tls_key
    if settings.tls_self_signed:
        return self_signed(settings.data_dir / "tls")
    return None


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return the paths of certificate and key in `folder`, made the first time they are asked for."""
    cert, key = folder / "self-signed.crt", folder / "self-signed.key"
    if not (cert.exists() and key.exists()):
        _make(cert, key)
    return cert, key


def fingerprint_of(cert: Path) -> str:
    """Return what an agent pins of a PEM certificate."""
    certificate = x509.load_pem_x509_certificate(cert.read_bytes())
    return fingerprint(certificate.public_bytes(serialization.Encoding.DER))


def public_key_pin(settings: ServerSettings) -> str:
    """Return what curl pins, `sha256//` and base64 (curl(1)), where the certificate is the server's own; else ""."""
    files = tls_files(settings) if settings.tls_self_signed else None
    if files is None:
        return ""
    key = x509.load_pem_x509_certificate(files[0].read_bytes()).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def _make(cert: Path, key: Path) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Quix control server")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    write_private(
        key,
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    write_private(cert, certificate.public_bytes(serialization.Encoding.PEM))
