"""What is read out of the answers and files of WireGuard and OpenVPN."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from quix.agent.openvpn_tunnel import config_of, remote_of
from quix.agent.vpn_status import first_global
from quix.agent.wireguard_tunnel import Remote, choose_host, host_part, remotes_of_messages, remotes_of_text

KEYS = [bytes([number]) * 32 for number in range(3)]
NAMES = [base64.b64encode(key).decode() for key in KEYS]

ANSWER = f"""\
private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a
listen_port=12912
public_key={KEYS[0].hex()}
preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52
endpoint=[abcd:23::33%2]:51820
allowed_ip=192.168.4.4/32
last_handshake_time_sec=1700000000
last_handshake_time_nsec=5
public_key={KEYS[1].hex()}
endpoint=182.122.22.19:3233
persistent_keepalive_interval=111
last_handshake_time_sec=0
public_key={KEYS[2].hex()}
errno=0

"""


def test_the_answer_of_a_userspace_wireguard_is_read() -> None:
    assert remotes_of_text(ANSWER) == [
        Remote(NAMES[0], "abcd:23::33%2", 1700000000),
        Remote(NAMES[1], "182.122.22.19", 0),
        Remote(NAMES[2], "", 0),
    ]


def test_an_interface_without_peers_has_none() -> None:
    assert remotes_of_text("errno=0\n\n") == []


def test_the_answer_of_the_kernel_is_read() -> None:
    """Encoded and decoded by pyroute2: a kernel with WireGuard is not needed."""
    from pyroute2.netlink.generic.wireguard import wgmsg  # type: ignore[import-untyped]

    def peer(number: int, *attributes: list[Any]) -> dict[str, Any]:
        return {"attrs": [["WGPEER_A_PUBLIC_KEY", NAMES[number]], *attributes]}

    def decoded(*peers: dict[str, Any]) -> Any:
        message = wgmsg()
        message["cmd"] = 0
        message["attrs"] = [["WGDEVICE_A_IFNAME", "wg0"], ["WGDEVICE_A_PEERS", list(peers)]]
        message.encode()
        answer = wgmsg(message.data)
        answer.decode()
        return answer

    handshake = ["WGPEER_A_LAST_HANDSHAKE_TIME", {"tv_sec": 1700000000, "tv_nsec": 5}]
    first = peer(0, ["WGPEER_A_ENDPOINT", {"addr": "192.0.2.7", "port": 51820}], handshake)
    second = peer(1, ["WGPEER_A_ENDPOINT", {"addr": "2001:db8::7", "port": 51820}])
    # A long answer comes as several messages.
    assert remotes_of_messages([decoded(first, second), decoded(peer(2)), wgmsg()]) == [
        Remote(NAMES[0], "192.0.2.7", 1700000000),
        Remote(NAMES[1], "2001:db8::7", 0),
        Remote(NAMES[2], "", 0),
    ]


@pytest.mark.parametrize(
    ("remotes", "names", "host"),
    [
        ([], {}, ""),
        ([], {NAMES[0]: "vpn.example"}, ""),
        (None, {}, ""),
        (None, {NAMES[0]: "vpn.example"}, "vpn.example"),
        ([Remote(NAMES[0], "192.0.2.1", 0)], {}, "192.0.2.1"),
        ([Remote(NAMES[0], "192.0.2.1", 0)], {NAMES[0]: "vpn.example"}, "vpn.example"),
        ([Remote(NAMES[0], "192.0.2.1", 0)], {NAMES[1]: "vpn.example"}, "192.0.2.1"),
        ([Remote(NAMES[0], "", 0)], {NAMES[0]: "vpn.example"}, "vpn.example"),
        ([Remote(NAMES[0], "192.0.2.1", 5), Remote(NAMES[1], "192.0.2.2", 6)], {}, "192.0.2.2"),
        ([Remote(NAMES[0], "192.0.2.1", 0), Remote(NAMES[1], "192.0.2.2", 0)], {}, "192.0.2.1"),
        ([Remote(NAMES[0], "", 0), Remote(NAMES[1], "192.0.2.2", 0)], {}, "192.0.2.2"),
    ],
)
def test_the_host_is_the_peers_heard_from_last(remotes: list[Remote] | None, names: dict[str, str], host: str) -> None:
    assert choose_host(remotes, names) == host


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("th1.s.quix.click:51820", "th1.s.quix.click"),
        ("192.0.2.7:51820", "192.0.2.7"),
        ("[2001:db8::7]:51820", "2001:db8::7"),
        ("", ""),
        ("no-port", ""),
    ],
)
def test_the_host_is_what_stands_before_the_port(endpoint: str, host: str) -> None:
    assert host_part(endpoint) == host


@pytest.mark.parametrize(
    ("arguments", "config"),
    [
        ([], None),
        (["client.ovpn"], "client.ovpn"),
        (["--config", "client.ovpn"], "client.ovpn"),
        (["--suppress-timestamps", "--nobind", "--config", "client.conf"], "client.conf"),
        (["--config"], None),
        (["--dev", "tun"], None),
    ],
)
def test_the_configuration_file_is_found_in_the_command_line(arguments: list[str], config: str | None) -> None:
    assert config_of(arguments) == config


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", ""),
        ("dev tun\nremote th1.s.quix.click 1194 udp\nremote second", "th1.s.quix.click"),
        ('  remote "th1.s.quix.click"', "th1.s.quix.click"),
        ("\t--remote 2001:db8::7 1194", "2001:db8::7"),
        ("# remote a\n;remote b\nremote-random\nremote-cert-tls server\nremote c", "c"),
    ],
)
def test_the_first_remote_is_the_host(text: str, host: str) -> None:
    assert remote_of(text.splitlines()) == host


@pytest.mark.parametrize(
    ("addresses", "first"),
    [
        ([], ""),
        (["10.8.0.120", "10.8.0.121"], "10.8.0.120"),
        (["fe80::1%wg0", "fd00::1", "2001:db8::1"], "fd00::1"),
        (["fe80::1%wg0"], "fe80::1"),
        (["169.254.0.1", "10.8.0.1"], "10.8.0.1"),
    ],
)
def test_a_link_local_address_is_only_told_where_there_is_no_other(addresses: list[str], first: str) -> None:
    assert first_global(addresses) == first
