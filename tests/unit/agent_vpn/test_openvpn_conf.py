"""What the agent understands of an OpenVPN profile."""

from __future__ import annotations

import base64
import hashlib
import time
from ipaddress import ip_network

import pytest

from quix.agent import openvpn_conf

DER = b"a certificate, as far as a fingerprint goes"
CERT = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(DER).decode()}\n-----END CERTIFICATE-----\n"
OWN = f"<cert>\n{CERT}</cert>\n<key>\nsecret\n</key>\n<tls-crypt-v2>\nsealed\n</tls-crypt-v2>\n"
HELD = f"client\nproto udp\nremote old.example 1194\n<ca>\nauthority\n</ca>\n{OWN}"


def test_a_fingerprint_says_which_certificate_one_holds() -> None:
    assert openvpn_conf.fingerprint(HELD) == base64.b64encode(hashlib.sha256(DER).digest()).decode()


@pytest.mark.parametrize("text", ["", "client\n", f"<cert>\n{CERT}</cert>\n", "<cert>\nx\n</cert>\n<key>\ny\n</key>\n"])
def test_half_an_identity_is_none(text: str) -> None:
    assert openvpn_conf.fingerprint(text) is None


def test_what_the_server_left_out_comes_from_the_profile_before() -> None:
    short = "client\nproto udp\nremote new.example 1194\n<ca>\nanother\n</ca>\n"
    assert openvpn_conf.completed(short, HELD) == short + OWN


def test_a_whole_profile_stays_as_it_is() -> None:
    assert openvpn_conf.completed(HELD, HELD.replace("secret", "older")) == HELD


@pytest.mark.parametrize(
    ("text", "mode"),
    [("proto udp", "udp"), ("proto tcp", "tcp"), (" proto\ttcp-client", "tcp"), ("proto udp6", "udp"), ("", "udp"),
     ("# proto tcp", "udp")],
)  # fmt: skip
def test_the_mode_is_that_of_proto(text: str, mode: str) -> None:
    assert openvpn_conf.mode(f"client\n{text}\n") == mode


def test_networks_are_those_of_its_routes() -> None:
    text = "route 10.84.0.0 255.255.0.0\nroute 10.9.9.9\nroute-ipv6 fd00::/64\n# route 1.2.3.4\n"
    assert openvpn_conf.networks(text) == [ip_network(each) for each in ("10.84.0.0/16", "10.9.9.9/32", "fd00::/64")]
    assert ip_network("0.0.0.0/0") in openvpn_conf.networks("redirect-gateway def1\n")


@pytest.mark.parametrize("line", ["route", "route vpn.example", "route 10.0.0.1 255.0.0.0", "route-ipv6 ::g/3"])
def test_a_route_that_leads_nobody_knows_where(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 is no route"):
        openvpn_conf.networks(f"client\n{line}\n")


@pytest.mark.parametrize("line", ["", "<key>", "<cert>", " ", "proto", "\t<key>\r"])
def test_no_answer_takes_more_time_than_it_has_lines(line: str) -> None:
    """The largest there can be; one of white space alone once took hours, in which the agent did nothing else."""
    answer = f"{line}\n" * (2**20 // (len(line) + 1))
    began = time.process_time()
    openvpn_conf.completed(answer, answer)
    openvpn_conf.fingerprint(answer)
    openvpn_conf.mode(answer)
    assert time.process_time() - began < 10
