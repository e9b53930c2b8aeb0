"""What a WireGuard configuration of the server's may do on this machine, when the agent itself brings the tunnel up.

A server that was broken into must not become everybody's gateway: a route is taken only to private networks, and never
to one that this machine is in already.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface, ip_network
from typing import Final

import psutil
from msgspec import Struct

from quix.vpn.interface import MTU

Network = IPv4Network | IPv6Network

_PRIVATE: Final[tuple[Network, ...]] = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
"""RFC 1918, RFC 6598, RFC 4193."""

_PEER_KEYS: Final = ("PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive")
_LARGEST_MTU: Final = 9000


class WireGuardConf(Struct, frozen=True):
    """A tunnel: addresses of the interface, networks behind its peers, endpoints (HOST:PORT) of these by public key,
    and `text`, which is for wg-setconf(8) and holds the private key."""

    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    routes: tuple[Network, ...]
    endpoints: dict[str, str]
    mtu: int
    text: str

    def __repr__(self) -> str:
        return f"WireGuardConf(addresses={self.addresses}, routes={self.routes})"


def parse(text: str) -> WireGuardConf:
    """Read a file for wg-quick(8); what else it could have done but keys, addresses and peers is left out.

    Raises:
        ValueError: something is missing or cannot be read; holds no secret.
    """
    interface, peers = _sections(text)
    if "privatekey" not in interface or not peers:
        raise ValueError("it has no PrivateKey, or no [Peer]")
    addresses = tuple(ip_interface(word) for word in _words(interface.get("address", "")))
    routes = tuple(_network(word) for peer in peers for word in _words(peer.get("allowedips", "")))
    lines = ["[Interface]", f"PrivateKey = {interface['privatekey']}"]
    for peer in peers:
        lines += ["", "[Peer]", *(f"{key} = {peer[key.lower()]}" for key in _PEER_KEYS if key.lower() in peer)]
    mtu = int(interface.get("mtu") or MTU)
    if not 576 <= mtu <= _LARGEST_MTU:
        raise ValueError("its MTU is none")
    endpoints = {peer["publickey"]: peer["endpoint"] for peer in peers if "publickey" in peer and "endpoint" in peer}
    return WireGuardConf(addresses, tuple(dict.fromkeys(routes)), endpoints, mtu, "\n".join(lines) + "\n")


def _sections(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return `[Interface]` and each `[Peer]` by keys in small letters; a key that comes again adds to the first."""
    interface: dict[str, list[str]] = {}
    peers: list[dict[str, list[str]]] = []
    section = interface
    for line in text.split("\n"):
        key, separator, value = line.partition("#")[0].partition("=")
        key, value = key.strip().lower(), value.strip()
        if key == "[peer]":
            peers.append(section := {})
        elif key == "[interface]":
            section = interface
        elif separator:
            section.setdefault(key, []).append(value)
    whole, *others = ({key: ", ".join(values) for key, values in each.items()} for each in (interface, *peers))
    return whole, others


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _network(word: str) -> Network:
    try:
        return ip_network(word, strict=False)
    except ValueError:
        raise ValueError("AllowedIPs: no network") from None


def with_private_key(text: str, private_key: str) -> str:
    """Return the configuration that was handed out for our own key, complete.

    Raises:
        ValueError: it holds a private key already.
    """
    interface, _ = _sections(text)
    if "privatekey" in interface:
        raise ValueError("it holds a private key that is not this machine's")
    head, separator, tail = text.partition("[Interface]\n")
    if not separator:
        raise ValueError("it has no [Interface]")
    return f"{head}{separator}PrivateKey = {private_key}\n{tail}"


def objection(conf: WireGuardConf, others: Iterable[tuple[str, Network]]) -> str | None:
    """Return why the agent does not bring this tunnel up, or None.

    `others` are the networks of the machine's other interfaces, by name.
    """
    return objection_to((*conf.routes, *(address.network for address in conf.addresses)), others)


def objection_to(networks: Iterable[Network], others: Iterable[tuple[str, Network]]) -> str | None:
    """Return why the agent does not lead these networks into a tunnel, or None; `others` as in `objection`."""
    taken = [*others]
    for network in networks:
        if not any(network.version == each.version and network.subnet_of(each) for each in _PRIVATE):  # type: ignore[arg-type]
            return f"it would lead {network} into the tunnel, which is no private network"
        for name, other in taken:
            if network.version == other.version and network.overlaps(other):
                return f"it would lead {network} into the tunnel, which {name} of this machine is in ({other})"
    return None


def networks_besides(name: str) -> list[tuple[str, Network]]:
    """Return the networks that this machine's interfaces are in, but for `name`, loopback and link-local ones."""
    found: list[tuple[str, Network]] = []
    for ifname, addresses in psutil.net_if_addrs().items():
        for each in addresses if ifname != name else ():
            if each.family in (socket.AF_INET, socket.AF_INET6) and each.netmask:
                network = ip_interface(f"{each.address.partition('%')[0]}/{_length(each.netmask)}").network
                if not network.is_loopback and not network.is_link_local:
                    found.append((ifname, network))
    return found


def _length(netmask: str) -> int:
    return int(ip_interface(netmask).ip).bit_count()
