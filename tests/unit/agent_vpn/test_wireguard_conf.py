"""What a WireGuard configuration may do on a machine whose agent brings the tunnel up."""

from __future__ import annotations

import time
from ipaddress import ip_interface, ip_network

import pytest

from quix.agent.wireguard_conf import networks_besides, objection, parse, with_private_key
from quix.vpn.wireguard import generate_keys

KEYS = generate_keys()
CONF = f"""[Interface]
PrivateKey = {KEYS.private}
Address = 10.83.0.2/32, fd83::2/128

[Peer]
PublicKey = {KEYS.public}
PresharedKey = {KEYS.public}
AllowedIPs = 10.83.0.0/16, fd83::/64
Endpoint = vpn.example:51820
PersistentKeepalive = 25
"""


def test_a_configuration_of_the_server_is_read() -> None:
    conf = parse(CONF)
    assert conf.addresses == (ip_interface("10.83.0.2/32"), ip_interface("fd83::2/128"))
    assert conf.routes == (ip_network("10.83.0.0/16"), ip_network("fd83::/64"))
    assert conf.endpoints == {KEYS.public: "vpn.example:51820"}
    assert conf.mtu == 1420
    assert conf.text == CONF.replace("Address = 10.83.0.2/32, fd83::2/128\n", "")


def test_what_wg_does_not_know_or_the_agent_does_not_do_is_left_out() -> None:
    more = CONF.replace("Address", "DNS = 10.83.0.1 # ours\nTable = off\nFwMark = 7\nMTU = 1380\nAddress")
    conf = parse(more + "address = 192.0.2.1 # of the peer, so no address of ours\n")
    assert conf.text == parse(CONF).text
    assert conf.addresses == parse(CONF).addresses
    assert conf.mtu == 1380


def test_keys_may_be_written_as_wg_quick_reads_them() -> None:
    text = CONF.replace("[Peer]", " [PEER] # the server").replace(
        "AllowedIPs = ", "allowedips=10.9.0.7/24\nALLOWEDIPS ="
    )
    assert parse(text).routes == (ip_network("10.9.0.0/24"), *parse(CONF).routes)


def test_a_configuration_shows_no_secret() -> None:
    assert KEYS.private not in repr(parse(CONF))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"PrivateKey = {KEYS.private}\n", ""),
        ("[Peer]", ""),
        ("10.83.0.2/32", "10.83.0.2/33"),
        ("10.83.0.0/16", "everything"),
        ("Address", "MTU = 99\nAddress"),
        ("Address", "MTU = much\nAddress"),
    ],
    ids=["no key", "no peer", "address", "route", "mtu too small", "mtu no number"],
)
def test_what_cannot_be_read_is_said_without_secrets(before: str, after: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at
        parse(CONF.replace(before, after))
    assert KEYS.private not in str(caught.value)


def test_our_key_is_put_in_where_the_server_left_it_out() -> None:
    without = CONF.replace(f"PrivateKey = {KEYS.private}\n", "")
    assert with_private_key(without, KEYS.private) == CONF
    with pytest.raises(ValueError, match="not this machine's"):
        with_private_key(CONF, KEYS.private)
    with pytest.raises(ValueError, match=r"no \[Interface\]"):
        with_private_key("[Peer]\n", KEYS.private)


# -- whose packets a server may have --------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [
        "0.0.0.0/0",
        "0.0.0.0/1",
        "::/0",
        "8.8.8.8/32",
        "2606:4700::/32",
        "10.0.0.0/7",
        "fe80::/64",
        "127.0.0.0/8",
        "f800::/5",
    ],
)
def test_nothing_public_is_led_into_a_tunnel(network: str) -> None:
    reason = objection(parse(CONF.replace("fd83::/64", network)), [])
    assert reason == f"it would lead {network} into the tunnel, which is no private network"


@pytest.mark.parametrize("network", ["10.0.0.0/8", "172.20.0.0/16", "192.168.7.0/24", "100.64.0.0/10", "fd00::/8"])
def test_private_networks_may_be(network: str) -> None:
    assert objection(parse(CONF.replace("fd83::/64", network)), []) is None


@pytest.mark.parametrize("network", ["192.168.1.0/24", "192.168.1.77/32", "192.168.0.0/16"])
def test_no_network_that_the_machine_is_in(network: str) -> None:
    others = [("eth0", ip_network("192.168.1.0/24")), ("eth0", ip_network("fd01::/64"))]
    assert objection(parse(CONF), others) is None
    reason = objection(parse(CONF.replace("fd83::/64", network)), others)
    assert reason == f"it would lead {network} into the tunnel, which eth0 of this machine is in (192.168.1.0/24)"


def test_an_address_takes_its_network_along() -> None:
    assert objection(parse(CONF.replace("10.83.0.2/32", "203.0.113.9/24")), []) is not None


def test_the_machines_own_networks_are_found() -> None:
    """Loopback is no obstacle, and whatever else this machine has is whole networks."""
    for ifname, network in networks_besides("quix0"):
        assert ifname != "quix0"
        assert not network.is_loopback
        assert not network.is_link_local
        assert networks_besides(ifname).count((ifname, network)) == 0


def test_no_answer_takes_more_time_than_it_has_lines() -> None:
    answer = "[Interface]\n" + "mtu=\n" * 200_000
    began = time.process_time()
    with_private_key(answer, "k")
    assert time.process_time() - began < 0.8
