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

_LONGEST4: Final = 30
_LONGEST6: Final = 126
"""The prefix lengths of the smallest networks that have room for a backend."""

# This host, loopback, multicast and what lies above: addresses that no interface of a backend can use.
_UNUSABLE4: Final = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")))
_UNUSABLE6: Final = tuple(map(IPv6Network, ("::/8", "ff00::/8")))


class Pool:
    """The address pairs of one VPN, whose settings are in the table `table`.

    Attributes:
        network4, network6: what the pairs are taken from, for routes and AllowedIPs.
        capacity: how many backends get a pair.

    Raises:
        QuixError: a network cannot be read or used; the text names the setting.
    """

    def __init__(self, pool4: str, pool6: str, table: str = "vpn.wireguard") -> None:
        self.network4 = _network(IPv4Network, pool4, f"{table}.pool4", _LONGEST4, _UNUSABLE4)
        self.network6 = _network(IPv6Network, pool6, f"{table}.pool6", _LONGEST6, _UNUSABLE6)
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

    def halves(self) -> tuple[Pool, Pool]:
        """Return the two pools that this one falls into.

        Raises:
            ValueError: a half has no room for a backend.
        """
        (low4, high4), (low6, high6) = self.network4.subnets(), self.network6.subnets()
        if low4.prefixlen > _LONGEST4 or low6.prefixlen > _LONGEST6:
            raise ValueError(f"there is no room for two halves; use /{_LONGEST4 - 1} and /{_LONGEST6 - 1} or wider")
        return Pool(str(low4), str(low6)), Pool(str(high4), str(high6))

    def counterpart(self, address4: IPv4Address, address6: IPv6Address, other: Pool) -> tuple[IPv4Address, IPv6Address]:
        """Return what stands at the same places in another pool as these two stand in this one."""
        return (
            other.server4 + (int(address4) - int(self.server4)),
            other.server6 + (int(address6) - int(self.server6)),
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
