"""The VPN interface that is up, whoever made it (PROTOCOL: `vpn_status`)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from quix.agent import openvpn_tunnel, wireguard_tunnel
from quix.wire.messages import VpnStatus

__all__ = ["read"]


def read(folder: Path) -> VpnStatus | None:
    """Return the VPN interface that is up, or None where there is none. Blocks: netlink, /proc, a local socket.

    Where there are several, one that a configuration of the agent's own is for comes first (they are kept in
    `folder`), then the one that was made first.
    """
    stats = psutil.net_if_stats()
    names = [name for _, name in sorted(socket.if_nameindex()) if name in stats and stats[name].isup]
    names.sort(key=lambda name: not any((folder / f"{name}.{ending}").exists() for ending in ("conf", "ovpn")))
    finders: tuple[tuple[str, Callable[[str], str | None]], ...] = (
        ("openvpn", openvpn_tunnel.host),
        ("wireguard", lambda name: wireguard_tunnel.host(name, folder)),
    )
    for name in names:
        for kind, find in finders:
            if (host := find(name)) is not None:
                return _status(name, kind, host)
    return None


def _status(name: str, kind: str, host: str) -> VpnStatus:
    addresses = psutil.net_if_addrs().get(name, [])
    ip4, ip6 = (
        first_global(address.address for address in addresses if address.family is family)
        for family in (socket.AF_INET, socket.AF_INET6)
    )
    return VpnStatus(ifname=name, conn_type=kind, conn_host=host, conn_ip4=ip4, conn_ip6=ip6)


def first_global(addresses: Iterable[str]) -> str:
    """Return the first address that is valid beyond its own link, else the first, else an empty string."""
    plain = [address.partition("%")[0] for address in addresses]
    beyond = [address for address in plain if not ipaddress.ip_address(address).is_link_local]
    return next(iter(beyond or plain), "")
