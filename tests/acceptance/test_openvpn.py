"""A server and backends on a cable, each a machine of its own, and the OpenVPN tunnels between them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.house import House, Program, cmdline, is_alive, pids, until
from harness.lan import Lan

pytestmark = pytest.mark.root

OPENVPN = "?conf_type=openvpn"
HUB = {"udp": ("10.84.0.1", "fd83:7175:6978:1::1"), "tcp": ("10.84.128.1", "fd83:7175:6978:1:8000::1")}
"""The server's addresses in the network of each transport."""


class Fleet:
    """The server and two backends, `u` on udp and `t` on tcp, with their tunnels up; each test leaves it so."""

    def __init__(self, house: House, lan: Lan) -> None:
        self.house = house
        self.hub = lan.machine()
        self.server = house.server(host=self.hub.address, inside=self.hub.name, **self.settings)
        self.rest = self.server.rest()
        self.modes = {"u": "udp", "t": "tcp"}
        self.machines = {name: lan.machine() for name in self.modes}
        self.agents = {name: self.agent(name) for name in self.modes}
        for name in self.modes:
            self.wait_tunnel(name)

    @property
    def settings(self) -> dict[str, Any]:
        return {"vpn__openvpn__enabled": "true", "vpn__openvpn__endpoint": f"{self.hub.address}:1194"}

    def agent(self, name: str) -> Program:
        args = ("--allow-plaintext", "--vpn=openvpn", f"--vpn-mode={self.modes[name]}")
        return self.house.agent(self.server.url, *args, name=name, inside=self.machines[name].name)

    def wait_tunnel(self, name: str, seconds: float = 20) -> None:
        machine, (address4, _) = self.machines[name], HUB[self.modes[name]]
        until(lambda: machine.reaches(address4), f"{name} reaches the server", seconds)

    def folder(self, name: str) -> Path:
        return self.house.root / name / "agent" / "vpn"

    def daemon(self, mode: str) -> int:
        """The pid of the server's daemon."""
        conf = str(self.server.data_dir / "openvpn" / f"{mode}.conf")
        return until(lambda: next(iter(running(conf)), None), f"openvpn runs for {mode}")


def running(config: str) -> list[int]:
    """The pids of every openvpn with that configuration file."""
    return [pid for pid in pids() if cmdline(pid)[1:3] == ["--config", config] and is_alive(pid)]


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    lan = Lan()
    yield lan
    lan.remove()


@pytest.fixture(scope="module")
def fleet(users: Path, lan: Lan) -> Iterator[Fleet]:
    house = House(users)
    try:
        yield Fleet(house, lan)
    finally:
        house.close()


@pytest.mark.parametrize("name", ["u", "t"])
def test_packets_pass_and_the_agent_says_so(fleet: Fleet, name: str) -> None:
    machine, hub = fleet.machines[name], HUB[fleet.modes[name]]
    assert all(machine.reaches(address) for address in hub)
    status = fleet.rest.get(f"/backends/{name}/telemetry?stat_types=vpn_status")["vpn_status"]
    lease = fleet.rest.get(f"/backends/{name}/vpn{OPENVPN}")
    assert (status["ifname"], status["conn_type"], status["conn_host"]) == ("quix0", "openvpn", fleet.hub.address)
    if name == "u":
        assert (status["conn_ip4"], status["conn_ip6"]) == (lease["address4"], lease["address6"])
    for address in (status["conn_ip4"], status["conn_ip6"]):
        assert fleet.hub.inside("ping", "-n", "-c1", "-W2", address)


def test_backends_on_udp_and_on_tcp_reach_each_other(fleet: Fleet) -> None:
    fleet.hub.inside("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")  # the machine's owner decides that
    status = fleet.rest.get("/backends/t/telemetry?stat_types=vpn_status")["vpn_status"]
    assert all(fleet.machines["u"].reaches(status[address]) for address in ("conn_ip4", "conn_ip6"))


def test_the_daemons_have_few_rights_and_say_no_secret(fleet: Fleet) -> None:
    folder = fleet.server.data_dir / "openvpn"
    assert folder.stat().st_mode & 0o777 == 0o700
    private = {path.name for path in folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077 == 0}
    assert private >= {"ca.key", "tls-crypt.key", "udp.conf", "tcp.conf"}
    for mode in ("udp", "tcp"):
        assert (folder / f"{mode}.sock").stat().st_mode & 0o777 == 0o600
        process = Path(f"/proc/{fleet.daemon(mode)}")
        assert re.search(r"^Uid:\s+65534\s+65534", (process / "status").read_text(), re.MULTILINE)
        assert (process / "root").readlink() == folder / "jail"
    for name in fleet.modes:
        key = re.search(r"<key>\n(?:.*\n)?(\S{40,})", (fleet.folder(name) / "quix0.ovpn").read_text())
        assert key is not None
        assert not any(key[1] in text for _, text in fleet.house.logs())
        assert all(
            key[1].encode() not in each.read_bytes() for each in fleet.server.data_dir.rglob("*") if each.is_file()
        )


def test_a_profile_is_enough_for_plain_openvpn(fleet: Fleet, lan: Lan, tmp_path: Path) -> None:
    """And it is worth nothing any more once there is another one."""
    phone = lan.machine()
    backend = fleet.rest.post("/backends", name="phone")["id"]
    first, second = (fleet.rest.post(f"/backends/{backend}/vpn", conf_type="openvpn", tun_mode="udp") for _ in "ab")
    for name, made in (("first", first), ("second", second)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(made["conf_data"])
    refused = phone.start("openvpn", "--connect-retry-max", "1", "--hand-window", "2", "--config", tmp_path / "first")
    said, _ = refused.communicate(timeout=20)
    assert refused.returncode != 0
    assert "Initialization Sequence Completed" not in said
    program = phone.start("openvpn", "--config", tmp_path / "second")
    try:
        until(lambda: phone.reaches(HUB["udp"][0]), "plain openvpn connects")
        assert fleet.rest.get(f"/backends/{backend}/vpn{OPENVPN}")["address4"] in phone.ip("address", "show", "tun0")
        assert phone.reaches(HUB["udp"][1])
        fleet.rest.call("DELETE", f"/backends/{backend}")
        until(lambda: not phone.reaches(HUB["udp"][0], 0.2), "a backend that is removed is cut off", 5)
    finally:
        program.terminate()
        program.communicate(timeout=10)


def test_openssl_agrees_on_who_may_connect(fleet: Fleet, tmp_path: Path) -> None:
    folder = fleet.server.data_dir / "openvpn"
    backend = fleet.rest.post("/backends", name="laptop")["id"]
    certs = []
    for number in range(2):
        made = fleet.rest.post(f"/backends/{backend}/vpn", conf_type="openvpn", tun_mode="tcp")["conf_data"]
        certs.append(tmp_path / f"{number}.crt")
        certs[-1].write_text(made.partition("<cert>\n")[2].partition("</cert>")[0])
    words = f"openssl verify -CAfile {folder}/ca.crt -crl_check -CRLfile {folder}/jail/crl.pem -purpose".split()
    old, new = (subprocess.run([*words, "sslclient", cert], capture_output=True, text=True) for cert in certs)
    assert "certificate revoked" in old.stderr
    assert new.returncode == 0, new.stderr
    server = subprocess.run([*words, "sslserver", certs[1]], capture_output=True, text=True)
    assert server.returncode != 0  # no backend can play the server


@pytest.mark.parametrize("name", ["u", "t"])
def test_who_is_revoked_is_cut_off_in_the_middle_of_a_stream(fleet: Fleet, name: str) -> None:
    machine, (hub4, _) = fleet.machines[name], HUB[fleet.modes[name]]
    before = fleet.rest.get(f"/backends/{name}/vpn{OPENVPN}")
    pinging = machine.start("ping", "-n", "-i0.05", "-w2", hub4)
    time.sleep(0.8)  # so much of it passes
    began = time.monotonic()
    assert fleet.rest.call("DELETE", f"/backends/{name}/vpn{OPENVPN}").status_code == 204
    took = time.monotonic() - began
    assert not machine.reaches(hub4, 0.5)
    assert fleet.server.is_running
    said, _ = pinging.communicate(timeout=20)
    received = int(re.findall(r"(\d+) received", said)[0])
    assert 10 <= received <= 20 * (1 + took) + 5
    profile = fleet.folder(name) / "quix0.ovpn"
    until(lambda: not profile.exists() and not running(str(profile)), "the agent has taken its tunnel down")
    other = "t" if name == "u" else "u"
    assert fleet.machines[other].reaches(HUB[fleet.modes[other]][0])
    fleet.rest.post(f"/backends/{name}/vpn/restore{OPENVPN}")
    fleet.wait_tunnel(name)
    after = fleet.rest.get(f"/backends/{name}/vpn{OPENVPN}")
    assert (after["address4"], after["address6"]) == (before["address4"], before["address6"])
    assert after["public_key"] != before["public_key"]


def test_daemons_that_are_killed_come_back(fleet: Fleet) -> None:
    before = [fleet.daemon(mode) for mode in fleet.modes.values()]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert not {fleet.daemon(mode) for mode in fleet.modes.values()} & {*before}
    # Over udp nobody tells the backend, which finds out by silence: the next test waits for that.
    fleet.wait_tunnel("t")


def test_a_server_that_was_killed_finds_its_daemons_again(fleet: Fleet) -> None:
    before = {mode: fleet.daemon(mode) for mode in ("udp", "tcp")}
    fleet.server.kill()
    assert all(is_alive(pid) for pid in before.values())
    assert fleet.machines["t"].reaches(HUB["tcp"][0])  # the tunnels go on meanwhile
    fleet.server = fleet.house.again(fleet.server, **fleet.settings)
    for name, mode in fleet.modes.items():
        assert not is_alive(before[mode])
        assert len(running(str(fleet.server.data_dir / "openvpn" / f"{mode}.conf"))) == 1
        fleet.wait_tunnel(name, 40)
    fleet.rest = fleet.server.rest()
    until(lambda: len(fleet.rest.online()) == 2, "the agents are back", 30)


def test_an_agent_that_was_killed_leaves_no_second_client(fleet: Fleet) -> None:
    profile = fleet.folder("u") / "quix0.ovpn"
    (before,) = running(str(profile))
    held = profile.read_text()
    fleet.agents["u"].kill()
    assert is_alive(before)
    fleet.agents["u"] = fleet.agent("u")
    until(lambda: not is_alive(before), "the one that was left behind has ended")
    fleet.wait_tunnel("u")
    assert len(running(str(profile))) == 1
    assert profile.read_text() == held  # the certificate is still good, and so is not asked for again


def test_an_operator_brings_a_tunnel_down_and_up(fleet: Fleet) -> None:
    profile = str(fleet.folder("u") / "quix0.ovpn")
    for change, count in (("down", 0), ("up", 1)):
        until(lambda: "u" in names(fleet), "the agent is back", 30)
        assert fleet.rest.call("POST", f"/backends/u/vpn/{change}{OPENVPN}").status_code == 204
        until(lambda: len(running(profile)) == count, f"told {change}")  # noqa: B023
    fleet.wait_tunnel("u")
    key = fleet.rest.get(f"/backends/u/vpn{OPENVPN}")["public_key"]
    assert fleet.rest.call("POST", f"/backends/u/vpn/rotate{OPENVPN}").status_code == 204
    assert fleet.rest.get(f"/backends/u/vpn{OPENVPN}")["public_key"] != key
    fleet.wait_tunnel("u")


def test_both_end_in_good_order(fleet: Fleet) -> None:
    """The last test: after it nothing of this house runs."""
    for name in fleet.modes:
        assert fleet.agents[name].terminate() == 0
        assert not running(str(fleet.folder(name) / "quix0.ovpn"))
        assert "quix0" not in fleet.machines[name].ip("-br", "link")
    assert fleet.server.terminate() == 0
    assert not any(running(str(fleet.server.data_dir / "openvpn" / f"{mode}.conf")) for mode in ("udp", "tcp"))
    assert "quixo" not in fleet.hub.ip("-br", "link")
    assert "quixo" not in fleet.hub.ip("rule")


def names(fleet: Fleet) -> set[str]:
    return {each["name"] for each in fleet.rest.backends() if each["connected"]}
