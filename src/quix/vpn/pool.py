"""Which addresses a VPN has to give: pure arithmetic on two networks.

Addresses are counted in pairs, one of each network: pair 0 is the server's own, pairs 1 to `capacity` are for
backends. In both networks pair `n` is the network's address plus `n + 1`, since the network's own address is
nobody's: in IPv4 by convention, in IPv6 as the subnet's routers' anycast address (RFC 4291 section 2.6.1).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeVar

from quix.exits import Exit, QuixError

N = TypeVar("N", IPv4Network, IPv6Network)

# This host, loopback, multicast and what lies above: addresses that no interface of a backend can use.
_UNUSABLE4: Final = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")))
_UNUSABLE6: Final = tuple(map(IPv6Network, ("::/8", "ff00::/8")))


class Pool:
    """The address pairs of one VPN.

    Attributes:
        network4, network6: what the pairs are taken from, for routes and AllowedIPs.
        capacity: how many backends get a pair.

    Raises:
        QuixError: a network cannot be read or used; the text names the setting.
    """

    def __init__(self, pool4: str, pool6: str) -> None:
        self.network4 = _network(IPv4Network, pool4, "vpn.wireguard.pool4", 30, _UNUSABLE4)
        self.network6 = _network(IPv6Network, pool6, "vpn.wireguard.pool6", 126, _UNUSABLE6)
        # Less the network's own address, the server's and, in IPv4, the broadcast address.
        self.capacity = min(self.network4.num_addresses - 3, self.network6.num_addresses - 2)

    @property
    def server4(self) -> IPv4Address:
        return self.network4[1]

    @property
    def server6(self) -> IPv6Address:
        return self.network6[1]

    def pair(self, n: int) -> tuple[IPv4Address, IPv6Address]:
        """Return the addresses of pair `n`.

        Raises:
            IndexError: there is no such pair.
        """
        if not 0 <= n <= self.capacity:
            raise IndexError(f"pair {n} of {self.capacity}")
        return self.server4 + n, self.server6 + n

    def holds(self, address4: IPv4Address, address6: IPv6Address) -> bool:
        """Whether a backend may have these two; they need not be of one pair, the networks may have changed."""
        return (
            1 <= int(address4) - int(self.server4) <= self.capacity
            and 1 <= int(address6) - int(self.server6) <= self.capacity
        )


def _network(kind: type[N], text: str, setting: str, longest: int, unusable: tuple[N, ...]) -> N:
    try:
        network = kind(text)
    except ValueError as error:
        raise QuixError(f"{setting}: {error}; write a network, as in {_example(kind)}", Exit.CONFIG) from error
    if network.prefixlen > longest:
        raise QuixError(f"{setting}: {text} has no room for a backend; use /{longest} or wider", Exit.CONFIG)
    if any(network.overlaps(other) for other in unusable):
        raise QuixError(f"{setting}: {text} has addresses that no interface can use", Exit.CONFIG)
    return network


def _example(kind: type[IPv4Network | IPv6Network]) -> str:
    return "10.83.0.0/16" if kind is IPv4Network else "fd83:7175:6978::/64"
