"""What may pass from peer to peer through the server's interface. Everything here blocks.

A packet that comes in through the interface and is not for this machine finds its way by a routing table of its own:
one that leads back into the VPN (`hub`), or nowhere (`isolated`). So neither leads to the server's other networks,
whatever the machine forwards otherwise, and no firewall is needed.

Rule and routes are of the protocol `kernel`: systemd-networkd deletes at each of its starts what it did not make
itself, but for these (ManageForeignRoutingPolicyRules=, ManageForeignRoutes= in networkd.conf(5)).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from quix.vpn.tools import ToolError, has_ipv6, run

_PREFERENCE: Final = 20510
"""Of the rule: after the table `local` (0), so that the server itself is reached, and before `main` (32766)."""

_TABLES: Final = 0x5158_0000
"""Tables are numbered from here by interface, to be nobody else's."""

Network = IPv4Network | IPv6Network

_NOWHERE: Final = "prohibit default"


def lead(name: str, networks: Sequence[Network], besides: Mapping[Network, str] = MappingProxyType({})) -> list[str]:
    """Let packets from the interface `name` go on to these networks through it, to those `besides` through other
    interfaces that are up, and to no other place.

    Returns:
        Sentences on what else the machine needs for that; none where all is well.

    Raises:
        ToolError: the rules could not be set.
    """
    table = _table(name)
    for version in _versions():
        wanted = _wanted(name, version, networks, besides)
        # What was wanted before goes only once there is a place where all the rest ends.
        lines = [f"route replace {each} table {table} protocol kernel" for each in sorted(wanted)]
        lines += [f"route delete {each} table {table}" for each in sorted(_routes(table, version) - wanted)]
        rules = _rules(name, version)
        if not _is_the_rule(rules, table):
            lines += [f"rule delete {_selector(each)}" for each in rules]
            lines += [f"rule add iif {name} pref {_PREFERENCE} protocol kernel lookup {table}"]
        run("ip", f"-{version}", "-batch", "-", given="\n".join(lines) + "\n")
    return _switch(name, on=bool(networks))


def leads(name: str, networks: Sequence[Network], besides: Mapping[Network, str] = MappingProxyType({})) -> bool:
    """Whether all is there that `lead` has set up for these networks.

    Raises:
        ToolError: that cannot be told.
    """
    table = _table(name)
    return all(
        _is_the_rule(_rules(name, version), table)
        and _routes(table, version) == _wanted(name, version, networks, besides)
        for version in _versions()
    )


def forget(name: str) -> None:
    """Remove the rules of the interface, and what is left of their tables.

    Raises:
        ToolError: they could not be removed.
    """
    for version in _versions():
        for rule in _rules(name, version):
            run("ip", f"-{version}", "rule", "delete", *_selector(rule).split())
            if _routes(int(rule["table"]), version):
                run("ip", f"-{version}", "route", "flush", "table", str(rule["table"]))


def _versions() -> tuple[int, ...]:
    return (4, 6) if Path("/proc/sys/net/ipv6").exists() else (4,)


def _table(name: str) -> int:
    try:
        return _TABLES + socket.if_nametoindex(name)
    except OSError:
        raise ToolError(f"the interface {name} has just gone") from None


def _wanted(name: str, version: int, networks: Sequence[Network], besides: Mapping[Network, str]) -> set[str]:
    ways = dict.fromkeys(networks, name) | dict(besides)
    usable = [(to, via) for to, via in ways.items() if to.version == 4 or has_ipv6(via)]
    return {_NOWHERE} | {f"{to} dev {via}" for to, via in usable if to.version == version}


def _routes(table: int, version: int) -> set[str]:
    """Return the routes of a table, in the words of ip-route(8)."""
    try:
        said = run("ip", f"-{version}", "-json", "route", "show", "table", str(table))
    except ToolError:
        return set()  # there is no such table before its first route
    return {_route(each) for each in msgspec.json.decode(said or "[]")}


def _route(said: dict[str, Any]) -> str:
    to = said["dst"] if said["dst"] == "default" else str(ip_network(said["dst"]))
    return f"{said['type']} {to}" if "type" in said else f"{to} dev {said.get('dev', '')}"


def _rules(name: str, version: int) -> list[dict[str, Any]]:
    # With its details, or a protocol of the kernel's is left out.
    said = run("ip", f"-{version}", "-json", "-details", "rule", "show", "pref", str(_PREFERENCE))
    return [each for each in msgspec.json.decode(said or "[]") if each.get("iif") == name]


def _is_the_rule(rules: list[dict[str, Any]], table: int) -> bool:
    return [(each["table"], each.get("protocol")) for each in rules] == [(str(table), "kernel")]


def _selector(rule: dict[str, Any]) -> str:
    return f"iif {rule['iif']} pref {_PREFERENCE} lookup {rule['table']}"


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
