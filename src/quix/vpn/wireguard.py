"""WireGuard's keys and configuration files, as wg(8) and wg-quick(8) read them."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from quix import files
from quix.exits import Exit, QuixError

Network = IPv4Network | IPv6Network

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


def generate_preshared_key() -> str:
    """Return 32 random bytes in base64, as `wg genpsk` prints them."""
    return base64.b64encode(os.urandom(32)).decode()


def client_conf(
    *,
    private_key: str | None,
    addresses: tuple[IPv4Address, IPv6Address],
    server_key: str,
    preshared_key: str | None,
    endpoint: str,
    networks: Sequence[Network | IPv4Address | IPv6Address],
) -> str:
    """Return a backend's configuration file for wg-quick(8).

    `private_key` None leaves that line out, for a backend that has its own. `server_key` is the server's public key,
    `endpoint` its HOST:PORT, `networks` what is reached through it.
    """
    address4, address6 = addresses
    lines = [
        "[Interface]",
        *([] if private_key is None else [f"PrivateKey = {private_key}"]),
        f"Address = {address4}/32, {address6}/128",
        "",
        "[Peer]",
        f"PublicKey = {server_key}",
        *([] if preshared_key is None else [f"PresharedKey = {preshared_key}"]),
        f"AllowedIPs = {', '.join(map(_with_length, networks))}",
        f"Endpoint = {endpoint}",
        f"PersistentKeepalive = {KEEPALIVE}",
    ]
    return "\n".join(lines) + "\n"


def peer_section(
    public_key: str, preshared_key: str, addresses: tuple[IPv4Address, IPv6Address], endpoint: str = ""
) -> str:
    """Return the section that makes a backend a peer of the server's interface (wg(8), CONFIGURATION FILE FORMAT).

    With an `endpoint`, where it was last, the server greets it there: switching keepalive on sends a first packet.
    """
    greeting = f"Endpoint = {endpoint}\nPersistentKeepalive = {KEEPALIVE}\n" if endpoint else ""
    return (
        "[Peer]\n"
        f"PublicKey = {public_key}\n"
        f"PresharedKey = {preshared_key}\n"
        f"AllowedIPs = {addresses[0]}/32, {addresses[1]}/128\n{greeting}"
    )


def _with_length(network: Network | IPv4Address | IPv6Address) -> str:
    return f"{network}/{network.max_prefixlen}" if isinstance(network, IPv4Address | IPv6Address) else str(network)


def _pair(key: X25519PrivateKey) -> KeyPair:
    halves = (key.private_bytes_raw(), key.public_key().public_bytes_raw())
    return KeyPair(*(base64.b64encode(half).decode() for half in halves))
