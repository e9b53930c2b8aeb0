"""VPN leases over REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.api import Place, place, problem
from quix.server.settings import VpnSettings
from quix.store.users import Role

WANTED = {"conf_type": "wireguard", "tun_mode": "udp"}


def silent(_req: str, _msg: object) -> None:
    return None


async def test_a_configuration_makes_a_lease(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(silent, "web-1") as agent:
        assert problem(await operator.get("/backends/web-1/vpn")) == (404, "lease_unknown")
        assert problem(await operator.post("/backends/web-1/vpn/restore")) == (404, "lease_unknown")
        made = await operator.post("/backends/web-1/vpn", json=WANTED)
        assert made.status_code == 200
        assert set(made.json()) == {"conf_type", "conf_data"}
        assert made.json()["conf_type"] == "wireguard"
        assert made.json()["conf_data"].startswith("[Interface]\nPrivateKey")
        lease = (await operator.get("/backends/web-1/vpn")).json()
        assert set(lease) == {
            "backend_id", "conf_type", "address4", "address6", "public_key", "issued_at", "revoked_at", "traffic",
        }  # fmt: skip
        assert (lease["backend_id"], lease["conf_type"], lease["revoked_at"]) == (agent.id, "wireguard", None)
        assert lease["address4"] in made.json()["conf_data"]
        assert (await operator.get("/vpn")).json() == {"items": [lease], "next": None}


async def test_an_offline_backend_gets_one_too(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(silent) as agent:
        pass
    assert (await operator.post(f"/backends/{agent.id}/vpn", json={"conf_type": "wireguard"})).status_code == 200


async def test_a_revoked_lease_is_refused_to_the_backend_until_an_operator_restores_it(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.seed_client() as client:
        await client.enroll()
        (session,) = there.control.fleet
        path = f"/backends/{session.backend_id}/vpn"
        before = (await client.ask("get_vpn_conf", WANTED))["conf_data"]
        assert (await operator.delete(path)).status_code == 204
        assert problem(await operator.delete(path)) == (404, "lease_unknown")
        assert (await operator.get(path)).json()["revoked_at"] is not None
        assert (await client.ask("get_vpn_conf", WANTED))["reason"] == "vpn_unavailable"

        assert problem(await operator.post(path, json=WANTED)) == (422, "vpn_unavailable")
        restored = await operator.post(f"{path}/restore")
        assert restored.status_code == 200
        lease = (await operator.get(path)).json()
        assert restored.json() == lease
        assert lease["revoked_at"] is None
        assert lease["address4"] in before
        assert (await operator.post(f"{path}/restore")).json() == lease, "in force already, and left alone"
        assert (await client.ask("get_vpn_conf", WANTED))["result"] == "success"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"conf_type": "carrier pigeon"}, (422, "conf_type_unknown")),
        ({"conf_type": "wireguard", "tun_mode": "tcp"}, (422, "tun_mode_invalid")),
        ({"conf_type": "openvpn", "tun_mode": "tcp"}, (422, "vpn_unavailable")),
        ({}, (400, "request_invalid")),
        ({"conf_type": 1}, (400, "request_invalid")),
        ({"conf_type": "wireguard", "tun_mode": None}, (400, "request_invalid")),
    ],
)
async def test_what_cannot_be_had_is_told_and_restores_nothing(
    there: Place, wanted: Any, expected: tuple[int, str]
) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(silent, "web-1"):
        await operator.post("/backends/web-1/vpn", json=WANTED)
        await operator.delete("/backends/web-1/vpn")
        assert problem(await operator.post("/backends/web-1/vpn", json=wanted)) == expected
        assert (await operator.get("/backends/web-1/vpn")).json()["revoked_at"] is not None


async def test_a_server_without_vpn_says_so(tmp_path: Path) -> None:
    async with place(tmp_path, vpn=VpnSettings()) as there, there.agent(silent, "web-1"):
        operator = await there.login(Role.OPERATOR)
        assert problem(await operator.post("/backends/web-1/vpn", json=WANTED)) == (422, "vpn_unavailable")
        assert (await operator.get("/vpn")).json() == {"items": [], "next": None}


async def test_a_phone_is_added_and_gets_a_configuration(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    added = await operator.post("/backends", json={"name": "phone"})
    assert added.status_code == 201
    assert (added.json()["name"], added.json()["connected"], added.json()["enrolled_by"]) == ("phone", False, "op")
    assert problem(await operator.post("/backends", json={"name": "phone"})) == (409, "already_exists")
    assert problem(await operator.post("/backends", json={"name": added.json()["id"]})) == (409, "already_exists")
    for name in ("", "a/b", "a\n", "x" * 254, 7):
        assert problem(await operator.post("/backends", json={"name": name})) == (400, "request_invalid")
    made = (await operator.post("/backends/phone/vpn", json=WANTED)).json()["conf_data"]
    lease = (await operator.get("/backends/phone/vpn")).json()
    assert lease["address4"] in made
    assert lease["traffic"] is None, "this server has no interface"
    peers = (await operator.get("/vpn/peers")).json()
    assert f"PublicKey = {lease['public_key']}\n" in peers["conf_data"]
    assert "PrivateKey" not in peers["conf_data"]


async def test_a_tunnel_is_changed_by_its_agent(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    answers: list[Any] = [{"result": "success"}, {"result": "failure", "reason": "vpn_unavailable"}]
    async with there.agent(lambda _req, _msg: answers.pop(0), "web-1", vpn=1) as agent:
        assert (await operator.post("/backends/web-1/vpn/up")).status_code == 204
        assert agent.asked == [("change_vpn", {"action": "up", "conf_type": "wireguard"})]
        assert problem(await operator.post("/backends/web-1/vpn/rotate")) == (422, "vpn_unavailable")
        assert problem(await operator.post("/backends/web-1/vpn/sideways")) == (400, "request_invalid")
    assert problem(await operator.post("/backends/web-1/vpn/up")) == (409, "backend_offline")


async def test_an_agent_is_told_that_its_lease_was_revoked_and_restored(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(lambda _req, _msg: {"result": "success"}, "web-1", vpn=1) as agent:
        await operator.post("/backends/web-1/vpn", json=WANTED)
        await operator.delete("/backends/web-1/vpn")
        await operator.post("/backends/web-1/vpn/restore")
        assert agent.asked == [("change_vpn", {"action": "refresh", "conf_type": "wireguard"})] * 2


async def test_an_agent_that_does_not_see_to_tunnels_is_not_asked_to(there: Place) -> None:
    operator = await there.login(Role.OPERATOR)
    async with there.agent(silent, "web-1") as agent:
        assert problem(await operator.post("/backends/web-1/vpn/up")) == (422, "request_unknown")
        assert agent.asked == []
