"""`vpn_status` of a real WireGuard interface (wireguard-go; a kernel with WireGuard is not needed)."""

from __future__ import annotations

import base64
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.namespaces import Namespace

pytestmark = pytest.mark.root

Tunnel = Callable[..., str]


def key_pair() -> tuple[str, str]:
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout.strip()
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
    return private, public.strip()


@pytest.fixture
def tunnel(namespace: Namespace, ifname: str, tmp_path: Path) -> Tunnel:
    """`tunnel(endpoint, *addresses)` makes a WireGuard interface that is up; returns its peer's public key."""

    def make(endpoint: str | None, *addresses: str, port: int = 0) -> str:
        namespace.start("wireguard-go", "--foreground", ifname)
        namespace.wait_for(Path(f"/var/run/wireguard/{ifname}.sock").is_socket, "wireguard-go")
        private, _ = key_pair()
        _, peer = key_pair()
        (tmp_path / "private").write_text(private)
        where = [] if endpoint is None else ["endpoint", endpoint]
        namespace.run("wg", "set", ifname, "private-key", tmp_path / "private", "peer", peer, *where)
        for address in addresses:
            namespace.run("ip", "address", "add", address, "dev", ifname)
        namespace.run("ip", "link", "set", ifname, "up")
        return peer

    return make


def save_conf(folder: Path, ifname: str, peer: str, endpoint: str) -> None:
    interface = "[Interface]\nPrivateKey = secret\nAddress = 10.8.0.120/32\n"
    (folder / f"{ifname}.conf").write_text(f"{interface}\n[Peer]\nPublicKey = {peer}\nEndpoint={endpoint}\n")


def test_an_interface_that_quix_did_not_make_is_told(namespace: Namespace, ifname: str, tunnel: Tunnel) -> None:
    tunnel("192.0.2.7:51820", "10.8.0.120/32", "fd00:8::120/128")
    assert namespace.read() == {
        "ifname": ifname,
        "conn_type": "wireguard",
        "conn_host": "192.0.2.7",
        "conn_ip4": "10.8.0.120",
        "conn_ip6": "fd00:8::120",
    }


def test_without_a_vpn_there_is_none(namespace: Namespace) -> None:
    assert namespace.read() is None


def test_an_interface_that_is_down_is_not_told(namespace: Namespace, ifname: str, tunnel: Tunnel) -> None:
    tunnel("192.0.2.7:51820", "10.8.0.120/32")
    namespace.run("ip", "link", "set", ifname, "down")
    assert namespace.read() is None


def test_an_ipv6_endpoint_is_told_without_brackets_and_port(namespace: Namespace, tunnel: Tunnel) -> None:
    tunnel("[2001:db8::7]:51820", "10.8.0.120/32")
    assert namespace.read()["conn_host"] == "2001:db8::7"


def test_the_link_local_address_is_told_only_where_there_is_no_other(namespace: Namespace, tunnel: Tunnel) -> None:
    tunnel("192.0.2.7:51820")
    status = namespace.read()
    assert status["conn_ip4"] == ""
    assert status["conn_ip6"].startswith("fe80::")
    assert "%" not in status["conn_ip6"]


def test_a_peer_without_an_endpoint_has_no_host(namespace: Namespace, tunnel: Tunnel) -> None:
    tunnel(None, "10.8.0.120/32")
    assert namespace.read()["conn_host"] == ""


def test_the_host_is_named_as_in_the_agents_own_configuration(
    namespace: Namespace, ifname: str, tunnel: Tunnel, tmp_path: Path
) -> None:
    peer = tunnel("192.0.2.7:51820", "10.8.0.120/32")
    save_conf(tmp_path, ifname, peer, "th1.s.quix.click:51820")
    assert namespace.read()["conn_host"] == "th1.s.quix.click"


def test_a_configuration_of_another_peer_did_not_make_this_interface(
    namespace: Namespace, ifname: str, tunnel: Tunnel, tmp_path: Path
) -> None:
    tunnel("192.0.2.7:51820", "10.8.0.120/32")
    save_conf(tmp_path, ifname, key_pair()[1], "th1.s.quix.click:51820")
    assert namespace.read()["conn_host"] == "192.0.2.7"


def test_an_agent_that_may_not_ask_wireguard_still_tells_the_interface(
    namespace: Namespace, ifname: str, tunnel: Tunnel, tmp_path: Path
) -> None:
    peer = tunnel("192.0.2.7:51820", "10.8.0.120/32")
    for folder in (tmp_path, *tmp_path.parents[:3]):  # pytest's own
        folder.chmod(0o755)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert stat.S_IMODE(Path(f"/var/run/wireguard/{ifname}.sock").stat().st_mode) & 0o077 == 0
    assert namespace.read(*nobody)["conn_host"] == ""
    save_conf(tmp_path, ifname, peer, "th1.s.quix.click:51820")
    assert namespace.read(*nobody)["conn_host"] == "th1.s.quix.click"


def test_a_socket_that_was_left_behind_makes_no_vpn(namespace: Namespace, ifname: str) -> None:
    path = Path(f"/var/run/wireguard/{ifname}.sock")
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(str(path))
        link.listen()
    try:
        namespace.run("ip", "tuntap", "add", "dev", ifname, "mode", "tun")
        namespace.run("ip", "link", "set", ifname, "up")
        assert namespace.read() is None
    finally:
        path.unlink()


def test_of_two_the_one_that_quix_made_comes_first(
    namespace: Namespace, ifname: str, tunnel: Tunnel, tmp_path: Path
) -> None:
    openvpn = ["openvpn", "--dev", "first", "--dev-type", "tun", "--ifconfig", "10.9.0.1", "10.9.0.2"]
    namespace.start(*openvpn, "--remote", "192.0.2.9")
    namespace.wait_for(lambda: namespace.has("first", "10.9.0.1"), "openvpn")
    peer = tunnel("192.0.2.7:51820", "10.8.0.120/32")
    assert namespace.read()["ifname"] == "first"
    save_conf(tmp_path, ifname, peer, "192.0.2.7:51820")
    assert namespace.read()["ifname"] == ifname


def test_what_is_read_from_wireguard_holds_no_secret(namespace: Namespace, tunnel: Tunnel, tmp_path: Path) -> None:
    tunnel("192.0.2.7:51820", "10.8.0.120/32")
    secret = (tmp_path / "private").read_text()
    said = str(namespace.read())
    assert secret not in said
    assert base64.b64decode(secret).hex() not in said


def test_of_several_peers_the_one_heard_from_last_is_the_host(
    namespace: Namespace, ifname: str, tunnel: Tunnel, tmp_path: Path
) -> None:
    """The other end is a second interface in the same namespace; a ping through the tunnel makes them shake hands."""
    tunnel("192.0.2.7:51820", "10.8.0.120/24")
    other = ifname + "b"
    namespace.start("wireguard-go", "--foreground", other)
    namespace.wait_for(Path(f"/var/run/wireguard/{other}.sock").is_socket, "wireguard-go")
    private, public = key_pair()
    (tmp_path / "other").write_text(private)
    mine = namespace.run("wg", "show", ifname, "public-key").strip()
    namespace.run("wg", "set", other, "private-key", tmp_path / "other", "listen-port", "51999", "peer", mine)
    namespace.run("ip", "link", "set", other, "up")
    endpoint = ["endpoint", "127.0.0.1:51999", "allowed-ips", "10.8.0.0/24", "persistent-keepalive", "1"]
    namespace.run("wg", "set", ifname, "peer", public, *endpoint)

    def shaken() -> bool:
        rows: list[str] = namespace.run("wg", "show", ifname, "latest-handshakes").split()
        return rows[rows.index(public) + 1] != "0"

    namespace.wait_for(shaken, "a handshake")
    status = namespace.read()
    assert (status["ifname"], status["conn_host"]) == (ifname, "127.0.0.1")
