"""WireGuard's keys and configuration files, as wg(8) and wg-quick(8) read them."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from quix import files
from quix.exits import Exit, QuixError

KEEPALIVE: Final = 25
"""Seconds between empty packets, so that the NAT in front of a backend keeps its mapping (wg(8))."""


class KeyPair(Struct, frozen=True):
    """An X25519 key pair (RFC 7748), each half 32 bytes in base64, as `wg genkey` and `wg pubkey` print them."""

    private: str
    public: str

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"


def generate_keys() -> KeyPair:
    return _pair(X25519PrivateKey.generate())


def keys_of(private: str) -> KeyPair:
    """Return the pair of a private key.

    Raises:
        ValueError: it is not 32 bytes in base64.
    """
    try:
        raw = base64.b64decode(private, validate=True)
    except ValueError:
        raise ValueError("a WireGuard key is base64") from None
    if len(raw) != 32:
        raise ValueError("a WireGuard key has 32 bytes")
    return _pair(X25519PrivateKey.from_private_bytes(raw))


def server_keys(path: Path) -> KeyPair:
    """Return the server's own keys, kept in the file `path` (0600), made now where there is none.

    Raises:
        QuixError: the file is not a key, cannot be read or written, or others may read it.
    """
    try:
        return keys_of(files.read_private(path).decode("ascii", "replace").strip())
    except FileNotFoundError:
        keys = generate_keys()
    except OSError as error:
        raise QuixError(f"{path}: {error.strerror}", Exit.CONFIG) from error
    except ValueError as error:
        raise QuixError(
            f"{path}: {error}; restore it from a backup, or remove it and let every backend fetch its VPN "
            "configuration again",
            Exit.CONFIG,
        ) from error
    try:
        files.write_private(path, f"{keys.private}\n".encode())
    except OSError as error:
        raise QuixError(f"{path}: {error.strerror}", Exit.CONFIG) from error
    return keys


def client_conf(
    *,
    private_key: str,
    addresses: tuple[IPv4Address, IPv6Address],
    server_key: str,
    endpoint: str,
    networks: tuple[IPv4Network, IPv6Network],
) -> str:
    """Return a backend's configuration file for wg-quick(8).

    `server_key` is the server's public key, `endpoint` its HOST:PORT, `networks` what is reached through it.
    """
    address4, address6 = addresses
    return (
        "[Interface]\n"
        f"PrivateKey = {private_key}\n"
        f"Address = {address4}/32, {address6}/128\n"
        "\n"
        "[Peer]\n"
        f"PublicKey = {server_key}\n"
        f"AllowedIPs = {', '.join(map(str, networks))}\n"
        f"Endpoint = {endpoint}\n"
        f"PersistentKeepalive = {KEEPALIVE}\n"
    )


def _pair(key: X25519PrivateKey) -> KeyPair:
    halves = (key.private_bytes_raw(), key.public_key().public_bytes_raw())
    return KeyPair(*(base64.b64encode(half).decode() for half in halves))
