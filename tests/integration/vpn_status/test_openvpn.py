"""`vpn_status` of a real OpenVPN interface: point to point, without keys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.namespaces import Namespace

pytestmark = pytest.mark.root

ADDRESSES = ["--ifconfig", "10.9.0.1", "10.9.0.2", "--ifconfig-ipv6", "fd00:9::1", "fd00:9::2"]


def status_of(ifname: str, host: str) -> dict[str, str]:
    return {
        "ifname": ifname,
        "conn_type": "openvpn",
        "conn_host": host,
        "conn_ip4": "10.9.0.1",
        "conn_ip6": "fd00:9::1",
    }


def test_the_remote_of_the_command_line_is_the_host(namespace: Namespace, ifname: str) -> None:
    device = ["--dev", ifname, "--dev-type", "tun"]
    namespace.start("openvpn", *device, *ADDRESSES, "--remote", "192.0.2.7", "1194")
    namespace.wait_for(lambda: namespace.has(ifname, "fd00:9::1"), "openvpn")
    assert namespace.read() == status_of(ifname, "192.0.2.7")


def test_a_tap_device_is_openvpns_as_well(namespace: Namespace, ifname: str) -> None:
    device = ["--dev", ifname, "--dev-type", "tap", "--ifconfig", "10.9.0.1", "255.255.255.0"]
    namespace.start("openvpn", *device, "--remote", "192.0.2.7")
    namespace.wait_for(lambda: namespace.has(ifname, "10.9.0.1"), "openvpn")
    status = namespace.read()
    assert (status["conn_type"], status["conn_ip4"], status["conn_host"]) == ("openvpn", "10.9.0.1", "192.0.2.7")


@pytest.mark.parametrize(
    "arguments",
    [["client.ovpn"], ["--config", "client.ovpn"], ["--verb", "3", "--cd", "conf", "--config", "client.ovpn"]],
    ids=["alone", "named", "elsewhere"],
)
def test_the_remote_of_the_configuration_file_is_the_host(
    namespace: Namespace, ifname: str, tmp_path: Path, arguments: list[str]
) -> None:
    folder = tmp_path / "conf" if "--cd" in arguments else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "client.ovpn").write_text(
        f"# remote not.this.one 1\ndev {ifname}\ndev-type tun\nproto udp\n"
        "ifconfig 10.9.0.1 10.9.0.2\nifconfig-ipv6 fd00:9::1 fd00:9::2\n"
        "remote localhost 1194 # first\nremote 192.0.2.8\n"
    )
    namespace.start("openvpn", *arguments)
    namespace.wait_for(lambda: namespace.has(ifname, "fd00:9::1"), "openvpn")
    assert namespace.read() == status_of(ifname, "localhost")


def test_a_server_side_has_no_remote(namespace: Namespace, ifname: str) -> None:
    namespace.start("openvpn", "--dev", ifname, "--dev-type", "tun", *ADDRESSES)
    namespace.wait_for(lambda: namespace.has(ifname, "fd00:9::1"), "openvpn")
    assert namespace.read() == status_of(ifname, "")


def test_a_tun_device_of_another_program_is_no_vpn(namespace: Namespace, ifname: str, tmp_path: Path) -> None:
    other = tmp_path / "another"
    shutil.copy("/usr/sbin/openvpn", other)
    namespace.start(other, "--dev", ifname, "--dev-type", "tun", *ADDRESSES, "--remote", "192.0.2.7")
    namespace.wait_for(lambda: namespace.has(ifname, "fd00:9::1"), "openvpn")
    assert namespace.read() is None


def test_openvpn_in_another_namespace_is_not_ours(
    namespace: Namespace, tmp_path_factory: pytest.TempPathFactory, ifname: str
) -> None:
    elsewhere = type(namespace)(tmp_path_factory.mktemp("elsewhere"))
    try:
        device = ["--dev", ifname, "--dev-type", "tun"]
        elsewhere.start("openvpn", *device, *ADDRESSES, "--remote", "192.0.2.7")
        elsewhere.wait_for(lambda: elsewhere.has(ifname, "fd00:9::1"), "openvpn")
        namespace.run("ip", "tuntap", "add", "dev", ifname, "mode", "tun")
        namespace.run("ip", "link", "set", ifname, "up")
        assert elsewhere.read() is not None
        assert namespace.read() is None
    finally:
        elsewhere.end()
