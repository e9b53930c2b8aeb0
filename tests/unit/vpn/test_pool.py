"""The arithmetic of address pools."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quix.exits import Exit, QuixError
from quix.vpn.pool import Pool

POOL6 = "fd83:7175:6978::/64"


def networks4() -> st.SearchStrategy[str]:
    hosts = st.integers(int(IPv4Address("10.0.0.0")), int(IPv4Address("10.255.255.255")))
    return st.builds(lambda host, length: str(IPv4Network((host, length), strict=False)), hosts, st.integers(8, 30))


def networks6() -> st.SearchStrategy[str]:
    hosts = st.integers(int(IPv6Address("fd00::")), int(IPv6Address("fdff:ffff::")))
    return st.builds(lambda host, length: str(IPv6Network((host, length), strict=False)), hosts, st.integers(8, 126))


pools = st.builds(Pool, networks4(), networks6())


@given(pools, st.data())
def test_every_pair_is_of_usable_addresses(pool: Pool, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, pool.capacity))
    address4, address6 = pool.pair(n)
    assert address4 in pool.network4
    assert address6 in pool.network6
    assert address4 not in {pool.network4.network_address, pool.network4.broadcast_address}
    assert address6 != pool.network6.network_address


@given(pools)
def test_the_capacity_is_what_fits(pool: Pool) -> None:
    assert pool.capacity >= 1
    hosts4 = pool.network4.num_addresses - 2
    hosts6 = pool.network6.num_addresses - 1
    assert pool.capacity + 1 == min(hosts4, hosts6)
    with pytest.raises(IndexError):
        pool.pair(pool.capacity + 1)
    with pytest.raises(IndexError):
        pool.pair(-1)


@given(pools, st.data())
def test_a_pool_holds_its_own_pairs_but_not_the_servers(pool: Pool, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, pool.capacity))
    m = data.draw(st.integers(1, pool.capacity))
    address4, address6 = pool.pair(n)
    assert pool.holds(address4, address6)
    assert pool.holds(address4, pool.pair(m)[1])
    assert not pool.holds(pool.server4, address6)
    assert not pool.holds(address4, pool.server6)
    assert not pool.holds(pool.network4.broadcast_address, address6)
    assert not pool.holds(address4 + 2**24, address6)


@given(pools, st.data())
def test_no_two_pairs_share_an_address(pool: Pool, data: st.DataObject) -> None:
    n, m = data.draw(st.lists(st.integers(0, pool.capacity), min_size=2, max_size=2, unique=True))
    assert not set(pool.pair(n)) & set(pool.pair(m))


def test_the_default_pool_by_hand() -> None:
    pool = Pool("10.83.0.0/16", POOL6)
    assert (str(pool.server4), str(pool.server6)) == ("10.83.0.1", "fd83:7175:6978::1")
    assert [str(address) for address in pool.pair(1)] == ["10.83.0.2", "fd83:7175:6978::2"]
    assert [str(address) for address in pool.pair(255)] == ["10.83.1.0", "fd83:7175:6978::100"]
    assert str(pool.pair(pool.capacity)[0]) == "10.83.255.254"
    assert pool.capacity == 65533


def test_the_smaller_network_decides() -> None:
    assert Pool("10.0.0.0/30", POOL6).capacity == 1
    assert Pool("10.0.0.0/8", "fd00::/126").capacity == 2


@pytest.mark.parametrize(
    ("pool4", "says"),
    [
        ("", "cannot be empty"),
        ("10.83.0.0/33", "not a valid netmask"),
        ("10.83.0.1/16", "has host bits set"),
        ("fd83::/64", "Expected 4 octets"),
        ("10.83.0.0/31", "no room for a backend; use /30 or wider"),
        ("10.83.0.0/32", "no room for a backend"),
        ("0.0.0.0/0", "addresses that no interface can use"),
        ("127.0.0.0/16", "addresses that no interface can use"),
        ("239.0.0.0/16", "addresses that no interface can use"),
    ],
)
def test_a_bad_ipv4_network_is_named_with_its_setting(pool4: str, says: str) -> None:
    with pytest.raises(QuixError) as caught:
        Pool(pool4, POOL6)
    assert str(caught.value).startswith("vpn.wireguard.pool4: ")
    assert says in str(caught.value)
    assert caught.value.code is Exit.CONFIG


@pytest.mark.parametrize("pool6", ["", "10.83.0.0/16", "fd83::1/64", "fd83::/127", "fd83::/128", "ff02::/64", "::/0"])
def test_a_bad_ipv6_network_is_named_with_its_setting(pool6: str) -> None:
    with pytest.raises(QuixError, match=r"^vpn\.wireguard\.pool6: "):
        Pool("10.83.0.0/16", pool6)


def test_a_pool_falls_into_two_that_share_nothing_and_have_the_same_places() -> None:
    whole = Pool("10.84.0.0/16", "fd00::/64", "vpn.openvpn")
    low, high = whole.halves()
    assert (low.network4, high.network4) == (IPv4Network("10.84.0.0/17"), IPv4Network("10.84.128.0/17"))
    assert not low.network6.overlaps(high.network6)
    assert low.capacity == high.capacity
    for n in (0, 1, low.capacity):
        assert low.counterpart(*low.pair(n), high) == high.pair(n)


@pytest.mark.parametrize(("pool4", "pool6"), [("10.84.0.0/30", "fd00::/64"), ("10.84.0.0/16", "fd00::/126")])
def test_a_pool_that_has_no_room_for_two(pool4: str, pool6: str) -> None:
    with pytest.raises(ValueError, match="no room for two halves"):
        Pool(pool4, pool6).halves()
