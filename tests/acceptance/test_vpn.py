"""VPN configurations as backends and operators get them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from acceptance.house import House, Rest, Server, until
from acceptance.raw import RawSocket
from harness.server import PASSWORD
from quix.vpn.wireguard import generate_keys

WIREGUARD = {"conf_type": "wireguard", "tun_mode": "udp"}


@pytest.fixture(scope="module")
def server(common: House) -> Server:
    return common.server(
        name="vpn-server", vpn__wireguard__enabled="true", vpn__wireguard__endpoint="vpn.example:51820"
    )


@pytest.fixture(scope="module")
def vpn_rest(server: Server) -> Rest:
    return server.rest()


def addresses(conf: str) -> list[str]:
    (line,) = re.findall(r"^Address\s*=\s*(.+)$", conf, re.MULTILINE)
    return [address.strip() for address in line.split(",")]


def test_a_configuration_is_complete(server: Server) -> None:
    with RawSocket(server.port) as backend:
        backend.enrol()
        answer = backend.ask("get_vpn_conf", WIREGUARD)
        assert set(answer) == {"result", "conf_type", "conf_data"}
        assert (answer["result"], answer["conf_type"]) == ("success", "wireguard")
        conf = answer["conf_data"]
        assert conf.startswith("[Interface]\n")
        assert re.search(r"^PrivateKey\s*=\s*[A-Za-z0-9+/]{43}=$", conf, re.MULTILINE)
        assert re.search(r"^Endpoint\s*=\s*vpn.example:51820$", conf, re.MULTILINE)
        assert any(address.endswith("/32") for address in addresses(conf))


def test_asking_again_gives_the_same_addresses_also_after_a_reconnect(server: Server) -> None:
    with RawSocket(server.port) as backend:
        token = backend.enrol()
        first = addresses(backend.ask("get_vpn_conf", WIREGUARD)["conf_data"])
        assert addresses(backend.ask("get_vpn_conf", WIREGUARD)["conf_data"]) == first
    with RawSocket(server.port) as backend:
        backend.resume(token)
        assert addresses(backend.ask("get_vpn_conf", {"conf_type": "wireguard"})["conf_data"]) == first


def test_two_backends_never_have_one_address(server: Server) -> None:
    seen: set[str] = set()
    for _ in range(10):
        with RawSocket(server.port) as backend:
            backend.enrol()
            found = addresses(backend.ask("get_vpn_conf", WIREGUARD)["conf_data"])
            assert not seen & set(found)
            seen.update(found)


@pytest.mark.parametrize(
    ("msg", "reason"),
    [({"conf_type": "ipsec", "tun_mode": "udp"}, "conf_type_unknown"),
     ({"conf_type": "wireguard", "tun_mode": "tcp"}, "tun_mode_invalid"),
     ({"conf_type": "openvpn", "tun_mode": "udp"}, "vpn_unavailable"), ({}, "request_invalid"),
     ({"conf_type": 5}, "request_invalid")],
)  # fmt: skip
def test_what_is_not_offered_is_refused(server: Server, msg: dict[str, object], reason: str) -> None:
    with RawSocket(server.port) as backend:
        backend.enrol()
        answer = backend.ask("get_vpn_conf", msg)
        assert (answer["result"], answer["reason"]) == ("failure", reason)


def extended(backend: RawSocket) -> Any:
    """Become a new backend that speaks the extension; return what was agreed."""
    msg = {"username": "gate", "password": PASSWORD, "extensions": {"vpn": 1}}
    return backend.ask("authenticate", msg, auth=None)["extensions"]


@pytest.mark.parametrize("key", ["", "short", "A" * 44, "A" * 42 + "B=", f"{'A' * 43}=\n", "-" * 43 + "=", 7, None])
def test_a_malformed_public_key_is_refused(server: Server, key: object) -> None:
    with RawSocket(server.port, protocol="quix-wsi.1") as backend:
        assert extended(backend) == {"vpn": 1}
        answer = backend.ask("get_vpn_conf", {**WIREGUARD, "public_key": key})
        assert (answer["result"], answer["reason"]) == ("failure", "request_invalid")
        assert answer["detail"].startswith("msg.public_key: ")


def test_a_key_of_its_own_is_answered_without_a_private_one(server: Server) -> None:
    with RawSocket(server.port, protocol="quix-wsi.1") as backend:
        extended(backend)
        answer = backend.ask("get_vpn_conf", {**WIREGUARD, "public_key": generate_keys().public})
        assert set(answer) == {"result", "conf_type", "conf_data"}
        assert "PrivateKey" not in answer["conf_data"]
        assert "PrivateKey" in backend.ask("get_vpn_conf", WIREGUARD)["conf_data"], "without a key it is as in the seed"


def test_our_agent_fetches_its_configuration_and_keeps_it_to_itself(house: House, server: Server) -> None:
    house.agent(server.url, "--vpn=wireguard")
    folder = house.root / "m1" / "agent" / "vpn"
    conf = until(lambda: next(iter(folder.glob("*.conf")), None), "the configuration is on the disk")
    assert conf.stat().st_mode & 0o777 == 0o600
    assert "PrivateKey" in conf.read_text()


def test_a_lease_that_is_revoked_is_refused_until_it_is_restored(server: Server, vpn_rest: Rest) -> None:
    before = {backend["id"] for backend in vpn_rest.backends()}
    with RawSocket(server.port) as backend:
        backend.enrol()
        (added,) = {found["id"] for found in vpn_rest.backends()} - before
        first = addresses(backend.ask("get_vpn_conf", WIREGUARD)["conf_data"])
        assert vpn_rest.call("DELETE", f"/backends/{added}/vpn").status_code == 204
        assert backend.ask("get_vpn_conf", WIREGUARD)["reason"] == "vpn_unavailable"
        vpn_rest.post(f"/backends/{added}/vpn/restore")
        restored = vpn_rest.post(f"/backends/{added}/vpn", conf_type="wireguard")
        assert addresses(restored["conf_data"]) == first
        assert addresses(backend.ask("get_vpn_conf", WIREGUARD)["conf_data"]) == first


def test_a_pool_that_is_used_up_says_so(house: House) -> None:
    server = house.server(
        vpn__wireguard__enabled="true", vpn__wireguard__pool4="10.99.0.0/30", vpn__wireguard__pool6="fd00:99::/126"
    )
    reasons = []
    for _ in range(4):
        with RawSocket(server.port) as backend:
            backend.enrol()
            answer = backend.ask("get_vpn_conf", WIREGUARD)
            reasons.append(answer.get("reason", "success"))
    assert reasons[0] == "success"
    assert reasons[-1] == "addresses_exhausted"
