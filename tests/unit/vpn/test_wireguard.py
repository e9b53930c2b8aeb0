"""WireGuard's keys and configuration texts; that its own tools read them is tested in tests/integration/vpn."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from quix.vpn.wireguard import client_conf, generate_keys, keys_of


def test_keys_are_32_bytes_each_and_new_each_time() -> None:
    pairs = [generate_keys() for _ in range(10)]
    assert {len(base64.b64decode(half)) for pair in pairs for half in (pair.private, pair.public)} == {32}
    assert len({pair.private for pair in pairs}) == 10


def test_the_public_key_follows_from_the_private_one() -> None:
    keys = generate_keys()
    assert keys_of(keys.private) == keys


def test_a_private_key_does_not_show() -> None:
    keys = generate_keys()
    assert keys.private not in repr(keys)
    assert keys.private not in f"{[keys]}"


@pytest.mark.parametrize("text", ["", "not base64", "AAAA", base64.b64encode(bytes(33)).decode()])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="a WireGuard key"):
        keys_of(text)


def test_a_configuration_is_what_wg_quick_documents() -> None:
    text = client_conf(
        private_key="cHJpdmF0ZQ==",
        addresses=(IPv4Address("10.83.0.2"), IPv6Address("fd83::2")),
        server_key="c2VydmVy",
        preshared_key="cHNr",
        endpoint="vpn.example:51820",
        networks=(IPv4Network("10.83.0.0/16"), IPv6Network("fd83::/64")),
    )
    assert text == (
        "[Interface]\n"
        "PrivateKey = cHJpdmF0ZQ==\n"
        "Address = 10.83.0.2/32, fd83::2/128\n"
        "\n"
        "[Peer]\n"
        "PublicKey = c2VydmVy\n"
        "PresharedKey = cHNr\n"
        "AllowedIPs = 10.83.0.0/16, fd83::/64\n"
        "Endpoint = vpn.example:51820\n"
        "PersistentKeepalive = 25\n"
    )
