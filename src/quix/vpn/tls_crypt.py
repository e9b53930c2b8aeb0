"""Keys of OpenVPN's `tls-crypt-v2`: what encrypts the handshake itself, one for the server and one for each client.

Whoever holds none cannot even begin a handshake, and a client's own gives nothing away of another's. Layouts are those
of doc/tls-crypt-v2.txt in OpenVPN's sources.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import textwrap
import time
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_SERVER: Final = "OpenVPN tls-crypt-v2 server key"
_CLIENT: Final = "OpenVPN tls-crypt-v2 client key"

_SERVER_BYTES: Final = 128
"""64 for the cipher and 64 for the HMAC, of each of which AES-256 and SHA-256 take the first 32."""

_CLIENT_BYTES: Final = 256
"""Such a pair for each direction."""

_TIMESTAMP: Final = b"\x01"
"""The kind of metadata that openvpn(8) puts into a client's key where it is given none: when it was made."""


def server_key() -> str:
    """Return a new server key, as `openvpn --genkey tls-crypt-v2-server` prints one."""
    return _armour(_SERVER, os.urandom(_SERVER_BYTES))


def client_key(server: str) -> str:
    """Return a new client key, sealed with the server's, as `openvpn --genkey tls-crypt-v2-client` prints one.

    Raises:
        ValueError: `server` is no server key.
    """
    raw = _unarmoured(server)
    key = os.urandom(_CLIENT_BYTES)
    plain = key + _TIMESTAMP + int(time.time()).to_bytes(8)
    length = (32 + len(plain) + 2).to_bytes(2)
    tag = hmac.digest(raw[64:96], length + plain, hashlib.sha256)
    encryptor = Cipher(algorithms.AES(raw[:32]), modes.CTR(tag[:16])).encryptor()
    return _armour(_CLIENT, key + tag + encryptor.update(plain) + encryptor.finalize() + length)


def _armour(title: str, raw: bytes) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(raw).decode(), 64))
    return f"-----BEGIN {title}-----\n{lines}\n-----END {title}-----\n"


def _unarmoured(text: str) -> bytes:
    lines = text.split()
    begin, end = (f"-----{word} {_SERVER}-----".split() for word in ("BEGIN", "END"))
    body = "".join(lines[len(begin) : -len(end)])
    raw = base64.b64decode(body, validate=True)
    if lines[: len(begin)] != begin or lines[-len(end) :] != end or len(raw) != _SERVER_BYTES:
        raise ValueError("it is no tls-crypt-v2 server key")
    return raw
