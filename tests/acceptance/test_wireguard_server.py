"""The server's WireGuard interface: who may go where, what is another's, what is missing, and a thousand peers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from acceptance.house import WITHOUT_NET_ADMIN, House, until
from acceptance.raw import RawSocket
from harness.lan import Lan, Machine, entered
from quix.store import Store
from quix.store.tables import backends, leases
from quix.vpn.pool import Pool
from quix.vpn.seal import Seal
from quix.vpn.wireguard import generate_keys, generate_preshared_key

pytestmark = pytest.mark.root

SERVER4, SERVER6 = "10.83.0.1", "fd83:7175:6978::1"
WIREGUARD = {"conf_type": "wireguard", "tun_mode": "udp"}


@pytest.fixture
def lan() -> Iterator[Lan]:
    lan = Lan()
    yield lan
    lan.remove()


@pytest.fixture
def house(lan: Lan, users: Path) -> Iterator[House]:
    """A house that ends before its machines do."""
    house = House(users)
    yield house
    house.close()


def settings(machine: Machine, **more: str) -> dict[str, Any]:
    given = {
        "enabled": "true",
        "device": "auto",
        "endpoint": f"{machine.address}:51820",
        "interface": machine.tunnel,
        **more,
    }
    return {f"vpn__wireguard__{key}": value for key, value in given.items()}


def backend(house: House, lan: Lan, url: str, name: str, *, wait: bool = True) -> Machine:
    machine = lan.machine()
    args = ("--allow-plaintext", "--vpn=wireguard")
    house.agent(url, *args, name=name, inside=machine.name, vpn_interface=machine.tunnel)
    if wait:
        until(lambda: machine.has_tunnel() and machine.reaches(SERVER4), f"{name} has a tunnel")
    return machine


def forward_everything(machine: Machine) -> None:
    """What container engines do to a machine."""
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        machine.inside("sh", "-c", f"echo 1 > /proc/sys/net/{setting}")


@pytest.mark.parametrize("topology", ["hub", "isolated"])
def test_who_reaches_whom(house: House, lan: Lan, topology: str) -> None:
    hub = lan.machine()
    server = house.server(host=hub.address, inside=hub.name, **settings(hub, topology=topology))
    a, b = (backend(house, lan, server.url, name) for name in "ab")
    leases = {lease["address4"]: lease["address6"] for lease in server.rest().get("/vpn")["items"]}
    (b4,) = (address for address in leases if f" {address}/" in b.ip("address", "show", "dev", b.tunnel))
    forward_everything(hub)
    # A network that the server is in, and that backends have no business in.
    hub.ip("link", "add", "inner", "type", "veth", "peer", "name", "far")
    hub.inside("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/inner/disable_ipv6")  # or it would talk by itself
    hub.ip("address", "add", "10.99.0.1/24", "dev", "inner")
    for ifname in ("inner", "far"):
        hub.ip("link", "set", ifname, "up")
    hub.ip("neighbor", "add", "10.99.0.2", "lladdr", "02:00:00:00:00:02", "dev", "inner", "nud", "permanent")
    (peer,) = a.inside("wg", "show", a.tunnel, "peers").split()
    a.inside("wg", "set", a.tunnel, "peer", peer, "allowed-ips", "10.0.0.0/8,fd83:7175:6978::/64")
    a.ip("route", "replace", "10.0.0.0/8", "dev", a.tunnel)
    a.ip("-6", "route", "replace", "fd83:7175:6978::/64", "dev", a.tunnel)
    assert a.reaches(SERVER4)
    assert a.reaches(SERVER6)
    assert a.reaches(b4) is (topology == "hub")
    assert a.reaches(leases[b4]) is (topology == "hub")
    before = sent(hub, "inner")
    assert not a.reaches("10.99.0.2")
    assert sent(hub, "inner") == before, "nothing went to the server's other network"
    hub.ip("rule", "delete", "pref", "20510")
    a.reaches("10.99.0.2")
    assert sent(hub, "inner") == before + 1, "as it would have, but for the rule"


def sent(machine: Machine, ifname: str) -> int:
    return int(machine.inside("cat", f"/sys/class/net/{ifname}/statistics/tx_packets"))


def test_an_interface_of_others_is_only_looked_at(house: House, lan: Lan, tmp_path: Path) -> None:
    hub, phone = lan.machine(), lan.machine()
    theirs = generate_keys()
    (tmp_path / "key").write_text(theirs.private)
    hub.inside("wireguard-go", hub.tunnel)
    hub.inside("wg", "set", hub.tunnel, "private-key", tmp_path / "key", "listen-port", "51820")
    hub.ip("address", "add", f"{SERVER4}/16", "dev", hub.tunnel)
    hub.ip("link", "set", hub.tunnel, "up")
    server = house.server(host=hub.address, inside=hub.name, **settings(hub))
    rest = server.rest()
    rest.post("/backends", name="phone")
    conf = rest.post("/backends/phone/vpn", conf_type="wireguard")["conf_data"]
    assert f"PublicKey = {theirs.public}\n" in conf
    assert hub.inside("wg", "show", hub.tunnel, "peers") == ""
    assert rest.get("/backends/phone/vpn")["traffic"] is None
    (tmp_path / "peers").write_text(rest.get("/vpn/peers")["conf_data"])
    hub.inside("wg", "addconf", hub.tunnel, tmp_path / "peers")
    hub.ip("route", "replace", "10.83.0.0/16", "dev", hub.tunnel)
    path = tmp_path / f"{phone.tunnel}.conf"
    path.touch(0o600)
    path.write_text(conf)
    phone.inside("wg-quick", "up", path)
    assert phone.reaches(SERVER4, 3)
    until(lambda: (rest.get("/backends/phone/vpn")["traffic"] or {}).get("last_handshake"), "it is looked at")
    phone.inside("wg-quick", "down", path)
    assert server.terminate() == 0
    assert hub.has_tunnel()


def test_what_is_missing_is_said_and_stops_nothing(house: House, lan: Lan) -> None:
    """A server, and an agent, that may not set up interfaces."""
    hub, machine = lan.machine(), lan.machine()
    server = house.server(host=hub.address, inside=hub.name, before=WITHOUT_NET_ADMIN, **settings(hub))
    server.wait_for("CAP_NET_ADMIN")
    with entered(hub.name), RawSocket(server.port, host=hub.address) as peer:
        peer.enrol()
        assert peer.ask("get_vpn_conf", WIREGUARD) == {"result": "failure", "reason": "vpn_unavailable"}
    rest = server.rest()
    rest.post("/backends", name="phone")
    refused = rest.call("POST", "/backends/phone/vpn", conf_type="wireguard")
    assert (refused.status_code, refused.json()["reason"]) == (422, "vpn_unavailable")
    assert "CAP_NET_ADMIN" in refused.json()["detail"]
    assert server.terminate() == 0

    server = house.again(server, **settings(hub))
    agent = house.agent(
        server.url, "--allow-plaintext", "--vpn=wireguard",
        name="weak", inside=machine.name, before=WITHOUT_NET_ADMIN, vpn_interface=machine.tunnel,
    )  # fmt: skip
    agent.wait_for("CAP_NET_ADMIN")
    conf = house.root / "weak" / "agent" / "vpn" / f"{machine.tunnel}.conf"
    assert conf.stat().st_mode & 0o777 == 0o600
    machine.inside("wg-quick", "up", conf)
    assert machine.reaches(SERVER4, 3), "what it keeps is for its owner to use"
    machine.inside("wg-quick", "down", conf)
    assert agent.is_running


def _when(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()


async def fill(data_dir: Path, count: int) -> None:
    """Give a server's store backends that have configurations."""
    store = await Store.open(f"sqlite+aiosqlite:///{data_dir / 'quix.db'}")
    seal, pool = Seal(data_dir / "vpn.key"), Pool("10.83.0.0/16", "fd83:7175:6978::/64")
    rows = [
        {
            "backend_id": f"b{n}",
            "conf_type": "wireguard",
            "address4": int(pool.pair(n)[0]),
            "address6": str(pool.pair(n)[1]),
            "public_key": generate_keys().public,
            "preshared_key": seal.close(generate_preshared_key(), f"b{n}"),
            "issued_at": 0,
        }
        for n in range(1, count + 1)
    ]
    one = {"enrolled_by": "gate", "created_at": 0, "last_seen": 0, "address": ""}
    async with store._database.write() as connection:  # a thousand times by the store's methods takes ten seconds
        await connection.execute(
            backends.insert(), [{"id": row["backend_id"], "name": row["backend_id"], **one} for row in rows]
        )
        await connection.execute(leases.insert(), rows)
    await store.close()


def test_a_thousand_peers_are_restored_in_seconds(house: House, lan: Lan) -> None:
    hub = lan.machine()
    server = house.server(host=hub.address, inside=hub.name, **settings(hub))
    assert server.terminate() == 0
    asyncio.run(fill(server.data_dir, 1000))
    began = time.monotonic()
    server = house.again(server, log_format="json", **settings(hub))
    whole = time.monotonic() - began
    (up,) = server.events("WireGuard interface is up")
    (made,) = server.events("WireGuard interface made")
    print(f"1,000 peers restored: {_when(up) - _when(made):.2f} s of the {whole:.1f} s that the server's start took")
    assert up["peers"] == 1000
    assert len(hub.inside("wg", "show", hub.tunnel, "peers").split()) == 1000
    assert whole < 10
    began = time.monotonic()
    assert len(server.rest().get("/vpn?limit=1000")["items"]) == 1000
    print(f"and listed, with what the interface knows of each: {time.monotonic() - began:.2f} s")
