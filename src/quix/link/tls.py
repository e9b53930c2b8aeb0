"""TLS of both ends: certificates from files, and pinned fingerprints for servers without a public name."""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from pathlib import Path

from quix.exits import Exit, QuixError


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a listener. Raises QuixError where the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise QuixError(f"tls_cert, tls_key: cannot use {cert} with {key}: {error}", Exit.CONFIG) from error
    return context


def client_context(ca: Path | None, pinned: str) -> ssl.SSLContext:
    """Return the context of a dialler: the system's authorities, those of `ca`, or none but a pinned certificate.

    With a pin the chain is not looked at; the caller must pass the certificate to `check_pin` before it
    sends anything that matters.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise QuixError(f"tls_ca: cannot use {ca}: {error}", Exit.CONFIG) from error
    if pinned:
        parse_pin(pinned)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a DER certificate as `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(der).hexdigest()


def parse_pin(pin: str) -> str:
    """Return `pin` in the form of `fingerprint`; colons between bytes and upper case are welcome."""
    digits = pin.lower().removeprefix("sha256:").replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise QuixError("tls_fingerprint: must be sha256: and 64 hex digits, as the server prints it", Exit.CONFIG)
    return "sha256:" + digits


def check_pin(pin: str, der: bytes | None) -> bool:
    """Whether the certificate `der` that the server showed is the pinned one."""
    return der is not None and hmac.compare_digest(parse_pin(pin), fingerprint(der))
