"""A WireGuard interface of this machine: made, configured, read and removed. Everything here blocks.

The kernel's WireGuard and wireguard-go are handled alike, since ip(8) and wg(8) speak to both. What we made carries our
mark as its alias, and so is known after a crash of ours; what carries none is somebody else's and only looked at.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from quix.vpn import marks
from quix.vpn.tools import ToolError, find, has_ipv6, run

InterfaceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_=+-][A-Za-z0-9_=+.-]{0,14}(?!\n)$")]
"""What wg-quick(8) takes for a name."""

Driver = Literal["auto", "kernel", "wireguard-go"]
State = Literal["absent", "ours", "foreign"]

MTU: Final = 1420
"""Bytes: 1500 less IPv6, UDP and WireGuard headers, as wg-quick(8) has it on Ethernet."""

_SOCKETS: Final = Path("/var/run/wireguard")
_AT_ONCE: Final = 500
"""Peers in one command line."""


class PeerStatus(Struct, frozen=True):
    """What an interface knows of a peer. `endpoint` is HOST:PORT or empty, `handshake` seconds since 1970 or 0;
    `received` and `sent` are bytes."""

    public_key: str
    endpoint: str
    handshake: int
    received: int
    sent: int


class Interface:
    """The interface `name`; `mark` says whose it is, in so many words."""

    def __init__(self, name: str, mark: str) -> None:
        self.name = name
        self._mark = marks.fitting(mark)

    def exists(self) -> bool:
        """Whether there is an interface of that name; quick enough for an event loop."""
        try:
            socket.if_nametoindex(self.name)
        except OSError:
            return False
        return True

    def state(self) -> State:
        """Return whose the interface is; one without a key is nobody's yet, and becomes ours.

        Raises:
            ToolError: there is one of that name which is no WireGuard interface.
        """
        if not self.exists():
            return "absent"
        if self._link().get("ifalias") == self._mark:
            return "ours"
        return "foreign" if self.public_key() else "ours"

    def public_key(self) -> str:
        """Return the interface's public key, empty where it has none."""
        key = run("wg", "show", self.name, "public-key").strip()
        return "" if key == "(none)" else key

    def make(self, driver: Driver) -> str:
        """Make the interface; return `kernel` or `wireguard-go`, whichever it is.

        Raises:
            ToolError: neither works; says why.
        """
        made = self._make_with(driver)
        run("ip", "link", "set", "dev", self.name, "alias", self._mark)
        return made

    def _make_with(self, driver: Driver) -> str:
        if driver != "wireguard-go":
            try:
                run("ip", "link", "add", "dev", self.name, "type", "wireguard")
            except ToolError as error:
                if driver == "kernel":
                    raise ToolError(f"this kernel makes no WireGuard interface ({error})") from error
                if find("wireguard-go") is None:
                    raise ToolError(
                        "this kernel makes no WireGuard interface, and there is no wireguard-go (a package)"
                    ) from error
            else:
                return "kernel"
        if not Path("/dev/net/tun").exists():
            raise ToolError("wireguard-go needs /dev/net/tun, which this machine does not have")
        run("wireguard-go", self.name)
        return "wireguard-go"

    def remove(self) -> None:
        """Remove the interface; wireguard-go ends when its own is gone."""
        with contextlib.suppress(ToolError):
            run("ip", "link", "delete", "dev", self.name)
        (_SOCKETS / f"{self.name}.sock").unlink(missing_ok=True)

    # -- what it does ---------------------------------------------------------------------------

    def sync(self, conf: str) -> None:
        """Make keys and peers those of `conf`, as wg-setconf(8) reads it; peers that stay keep their sessions.

        The socket is opened anew, though, so a packet or two may be lost.
        """
        self._mark_again()
        run("wg", "syncconf", self.name, "/dev/stdin", given=conf)

    def _mark_again(self) -> None:
        run("ip", "link", "set", "dev", self.name, "alias", self._mark)

    def stop_keepalive(self, public_keys: Sequence[str]) -> None:
        """Send these peers no empty packets any more."""
        for start in range(0, len(public_keys), _AT_ONCE):
            some = public_keys[start : start + _AT_ONCE]
            run("wg", "set", self.name, *(w for key in some for w in ("peer", key, "persistent-keepalive", "off")))

    def set_endpoint(self, public_key: str, endpoint: str) -> None:
        """Look up where a peer is, and send there from now on."""
        run("wg", "set", self.name, "peer", public_key, "endpoint", endpoint)

    def change_peer(self, old: str, new: str, preshared_key: str, allowed: Iterable[str]) -> None:
        """Put the peer `new` in the place of `old` (public keys, `old` may be empty or the same)."""
        gone = ["peer", old, "remove"] if old and old != new else []
        words = ["peer", new, "preshared-key", "/dev/stdin", "allowed-ips", ",".join(allowed)]
        run("wg", "set", self.name, *gone, *words, given=f"{preshared_key}\n")

    def remove_peer(self, public_key: str) -> None:
        run("wg", "set", self.name, "peer", public_key, "remove")

    def bring_up(
        self,
        addresses: Sequence[IPv4Interface | IPv6Interface],
        routes: Sequence[IPv4Network | IPv6Network] = (),
        mtu: int = MTU,
    ) -> None:
        """Set the interface up with exactly these addresses, and routes through it to these networks."""
        run("ip", "link", "set", "dev", self.name, "mtu", str(mtu), "up")
        wanted, held = self._usable(addresses), self._addresses(self._json("address")[0])
        lines = [f"address delete {each} dev {self.name}" for each in sorted(held - wanted)]
        lines += [f"address add {each} dev {self.name}" for each in sorted(wanted - held)]
        _batch(lines)
        wanted, held = self._usable(routes), self._routes()
        lines = [f"route delete {each} dev {self.name} proto static" for each in sorted(held - wanted)]
        lines += [f"route replace {each} dev {self.name} proto static" for each in sorted(wanted)]
        _batch(lines)

    def has(
        self,
        addresses: Sequence[IPv4Interface | IPv6Interface],
        routes: Sequence[IPv4Network | IPv6Network] = (),
    ) -> bool:
        """Whether the interface is up with all that `bring_up` has given it.

        Raises:
            ToolError: that cannot be told; perhaps it is gone.
        """
        (link,) = self._json("address")
        if "UP" not in link["flags"] or not self._usable(addresses) <= self._addresses(link):
            return False
        return self._usable(routes) <= (self._routes() if routes else set())

    def _usable(self, wanted: Iterable[IPv4Interface | IPv6Interface | IPv4Network | IPv6Network]) -> set[str]:
        return {str(each) for each in wanted if each.version == 4 or has_ipv6(self.name)}

    def _addresses(self, link: dict[str, Any]) -> set[str]:
        given = [each for each in link.get("addr_info", ()) if each["scope"] == "global"]
        return {f"{each['local']}/{each['prefixlen']}" for each in given}

    def _routes(self) -> set[str]:
        found = set()
        for version in (4, 6):
            said = run("ip", f"-{version}", "-json", "route", "show", "dev", self.name, "proto", "static")
            found |= {_network(each["dst"], version) for each in msgspec.json.decode(said or "[]")}
        return found

    # -- what it tells --------------------------------------------------------------------------

    def peers(self) -> list[PeerStatus]:
        """Return what the interface knows of its peers."""
        # The columns, wg(8): public key, pre-shared key, endpoint, allowed IPs, handshake, received, sent, keepalive.
        _own, *lines = run("wg", "show", self.name, "dump").splitlines()
        rows = (line.split("\t") for line in lines)
        return [
            PeerStatus(row[0], "" if row[2] == "(none)" else row[2], int(row[4]), int(row[5]), int(row[6]))
            for row in rows
        ]

    def _link(self) -> dict[str, Any]:
        return self._json("link")[0]

    def _json(self, what: str) -> list[dict[str, Any]]:
        said = run("ip", "-json", what, "show", "dev", self.name)
        found: list[dict[str, Any]] = msgspec.json.decode(said)
        return found


def _network(text: str, version: int) -> str:
    """Return a destination of ip-route(8) with its prefix length, which it leaves out for a single address."""
    return text if "/" in text or text == "default" else f"{text}/{32 if version == 4 else 128}"


def _batch(lines: Sequence[str]) -> None:
    if lines:
        run("ip", "-batch", "-", given="\n".join(lines) + "\n")
