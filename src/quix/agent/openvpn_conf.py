"""OpenVPN profiles, as far as the agent has to understand them; `vpn_conf` has said before that they are harmless."""

from __future__ import annotations

import base64
import hashlib
import ssl
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

_OWN: Final = ("cert", "key", "tls-crypt-v2")
"""What the server leaves out for an agent that has it already."""


def fingerprint(profile: str) -> str | None:
    """Return the SHA-256 of the profile's certificate in base64; None where it holds no whole identity."""
    cert, key = _inline(profile, "cert"), _inline(profile, "key")
    if cert is None or key is None:
        return None
    try:
        return base64.b64encode(hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert)).digest()).decode()
    except ValueError:
        return None


def completed(profile: str, held: str) -> str:
    """Return the profile; with what is the agent's own out of the one that it holds, where it came without."""
    if _inline(profile, "key") is not None:
        return profile
    own = {name: _inline(held, name) for name in _OWN}
    return profile + "".join(f"<{name}>\n{text}</{name}>\n" for name, text in own.items() if text is not None)


def mode(profile: str) -> str:
    """Return what the profile's tunnel travels in: tcp or udp."""
    said = next(
        (words[1] for line in profile.split("\n") if (words := line.split())[:1] == ["proto"] and words[1:]), ""
    )
    return "tcp" if said.startswith("tcp") else "udp"


def networks(profile: str) -> list[Network]:
    """Return the networks that the profile itself leads into the tunnel.

    Raises:
        ValueError: a line leads somewhere that cannot be told; the text says which.
    """
    found: list[Network] = []
    for number, line in enumerate(profile.split("\n"), 1):
        words = line.split()
        if words[:1] == ["redirect-gateway"]:
            found += [ip_network("0.0.0.0/0"), ip_network("::/0")]
        elif words[:1] in (["route"], ["route-ipv6"]):
            mask = words[2] if words[0] == "route" and len(words) > 2 else ""
            try:
                found.append(ip_network(f"{words[1]}/{mask}" if mask else words[1]))
            except (ValueError, IndexError):
                raise ValueError(f"line {number} is no route to a network") from None
    return found


def _inline(profile: str, name: str) -> str | None:
    # Line by line: what a server sends is not to cost more time than it has lines.
    lines = profile.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip() == f"<{name}>"), None)
    if first is None:
        return None
    inside = lines[first + 1 :]
    last = next((number for number, line in enumerate(inside) if line.lstrip().startswith(f"</{name}>")), None)
    return None if last is None else "".join(f"{line}\n" for line in inside[:last])
