"""What may pass from peer to peer through the server's interface. Everything here blocks.

A packet that comes in through the interface and is not for this machine finds its way by a routing table of its own:
one that leads back into the VPN (`hub`), or nowhere (`isolated`). So neither leads to the server's other networks,
whatever the machine forwards otherwise, and no firewall is needed.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from quix.vpn.tools import run

_PREFERENCE: Final = 20510
"""Of the rule: after the table `local` (0), so that the server itself is reached, and before `main` (32766)."""

_TABLES: Final = 0x5158_0000
"""Tables are numbered from here by interface, to be nobody else's."""


def lead(
    name: str,
    networks: Sequence[IPv4Network | IPv6Network],
    besides: Mapping[IPv4Network | IPv6Network, str] = MappingProxyType({}),
) -> list[str]:
    """Let packets from the interface `name` go on to these networks through it, to those `besides` through other
    interfaces that are up, and to no other place.

    Returns:
        Sentences on what else the machine needs for that; none where all is well.

    Raises:
        ToolError: the rules could not be set.
    """
    table = _TABLES + socket.if_nametoindex(name)
    for version in (4, 6):
        lines = [f"rule delete {_selector(each)} lookup {each['table']}" for each in _rules(name, version)]
        lines += [f"route replace {each} dev {name} table {table}" for each in networks if each.version == version]
        lines += [f"route replace {to} dev {via} table {table}" for to, via in besides.items() if to.version == version]
        lines += [f"route replace prohibit default table {table}"]
        lines += [f"rule add iif {name} pref {_PREFERENCE} lookup {table}"]
        if version == 4 or Path("/proc/sys/net/ipv6").exists():
            run("ip", f"-{version}", "-batch", "-", given="\n".join(lines) + "\n")
    return _switch(name, on=bool(networks))


def forget(name: str) -> None:
    """Remove the rules of the interface, and what is left of their tables.

    Raises:
        ToolError: they could not be removed.
    """
    for version in (4, 6):
        for rule in _rules(name, version):
            run("ip", f"-{version}", "rule", "delete", *_selector(rule).split(), "lookup", str(rule["table"]))
            run("ip", f"-{version}", "route", "flush", "table", str(rule["table"]))


def _rules(name: str, version: int) -> list[dict[str, Any]]:
    said = run("ip", f"-{version}", "-json", "rule", "show", "pref", str(_PREFERENCE))
    return [each for each in msgspec.json.decode(said or "[]") if each.get("iif") == name]


def _selector(rule: dict[str, Any]) -> str:
    return f"iif {rule['iif']} pref {_PREFERENCE}"


def _switch(name: str, *, on: bool) -> list[str]:
    value = "1" if on else "0"
    lacking = []
    if not _write(f"ipv4/conf/{name}/forwarding", value) and on:
        lacking.append(f"sysctl net.ipv4.conf.{name}.forwarding=1")
    if on:
        # Else peers are told to reach each other without us. One of the two settings being on is enough for that, so
        # the kernel's own WireGuard sets both as well (drivers/net/wireguard/device.c).
        for each in (name, "all"):
            _write(f"ipv4/conf/{each}/send_redirects", "0")
    # Linux 6.17 and later forward IPv6 for one interface. Before that it is all or none, which changes how the machine
    # gets its own addresses (accept_ra): that is its owner's to decide.
    forced = _write(f"ipv6/conf/{name}/force_forwarding", value)
    if on and not forced and _read("ipv6/conf/all/forwarding") == "0":
        lacking.append("for IPv6 between backends: sysctl net.ipv6.conf.all.forwarding=1")
    return lacking


def _write(setting: str, value: str) -> bool:
    try:
        Path("/proc/sys/net", setting).write_text(value)
    except OSError:
        return _read(setting) == value
    return True


def _read(setting: str) -> str | None:
    try:
        return Path("/proc/sys/net", setting).read_text().strip()
    except OSError:
        return None
