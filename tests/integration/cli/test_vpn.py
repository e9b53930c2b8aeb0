"""`quix vpn`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.api import Place, place
from harness.cli import Shell
from harness.server import PASSWORD
from quix.exits import Exit
from quix.server.settings import VpnSettings


def silent(_req: str, _msg: Any) -> Any:
    return None


async def test_life_of_a_lease(there: Place, shell: Shell) -> None:
    assert await shell.quix("vpn", "ls") == (0, "", "No backend has a VPN lease.\n")
    async with there.agent(silent, "web-1") as agent:
        conf = await shell.quix("vpn", "conf", "web-1")
        assert conf.code == 0, conf
        assert conf.out.startswith("[Interface]\n")
        assert "Endpoint = vpn.example:51820" in conf.out
        assert not conf.out.endswith("\n\n")

        (lease,) = (await shell.quix("vpn", "ls", "--json")).json
        assert lease["backend_id"] == agent.id
        assert lease["address4"] in conf.out
        assert lease["revoked_at"] is None

        assert await shell.quix("vpn", "revoke", "web-1") == (0, "", "")
        (revoked,) = (await shell.quix("vpn", "ls", "--json")).json
        assert revoked["revoked_at"] is not None
        assert revoked["public_key"] is None
        assert "revoked" in (await shell.quix("vpn", "ls")).out

        assert await shell.quix("vpn", "restore", "web-1") == (0, "", "")
        (restored,) = (await shell.quix("vpn", "ls", "--json")).json
        assert restored["revoked_at"] is None
        assert restored["address4"] == lease["address4"]
        assert "in force" in (await shell.quix("vpn", "ls")).out


async def test_restore_leaves_a_lease_in_force_alone(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web-1"):
        await shell.quix("vpn", "conf", "web-1")
        (before,) = (await shell.quix("vpn", "ls", "--json")).json
        assert (await shell.quix("vpn", "restore", "web-1")).code == 0
        (after,) = (await shell.quix("vpn", "ls", "--json")).json
        assert after["public_key"] == before["public_key"]


async def test_no_lease(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web-1"):
        for command in ("revoke", "restore"):
            result = await shell.quix("vpn", command, "web-1")
            assert result.complaint.startswith("lease_unknown: ")
            assert result.code == Exit.REFUSED


async def test_configuration_as_json(there: Place, shell: Shell) -> None:
    async with there.agent(silent, "web-1"):
        made = (await shell.quix("vpn", "conf", "--json", "web-1")).json
        assert made["conf_type"] == "wireguard"
        assert "PrivateKey" in made["conf_data"]


async def test_server_without_vpn(tmp_path: Path, stranger: Shell) -> None:
    async with place(tmp_path / "server", vpn=VpnSettings()) as there, there.agent(silent, "web-1"):
        await stranger.quix("login", there.url, "--username", "op", stdin=PASSWORD)
        result = await stranger.quix("vpn", "conf", "--type", "openvpn", "web-1")
        assert result.complaint == "vpn_unavailable: this server offers no openvpn"
        assert result.code == Exit.REFUSED


async def test_a_phone_is_added_and_shown_a_qr_code(there: Place, shell: Shell) -> None:
    added = await shell.quix("vpn", "add", "phone", "--qr")
    assert added.code == 0, added
    lines = added.out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(added.out) <= set("█▀▄ \n")
    assert "PrivateKey" not in added.out
    rows = (await shell.quix("vpn", "ls")).out.splitlines()
    assert rows[0].split() == [
        "BACKEND", "TYPE", "IPV4", "IPV6", "STATE", "HANDSHAKE", "RECEIVED", "SENT", "PUBLIC", "KEY",
    ]  # fmt: skip
    assert rows[1].startswith("phone ")
    twice = await shell.quix("vpn", "add", "phone")
    assert (twice.code, twice.complaint) == (Exit.REFUSED, "already_exists: There is one of that name already.")
    again = await shell.quix("vpn", "conf", "phone", "--json", "--qr")
    assert again.json["conf_data"].startswith("[Interface]")


async def test_the_peers_of_a_server_that_quix_does_not_run(there: Place, shell: Shell) -> None:
    conf = (await shell.quix("vpn", "add", "laptop")).out
    peers = (await shell.quix("vpn", "peers")).out
    assert peers.startswith("[Peer]\nPublicKey = ")
    (preshared,) = (line for line in conf.splitlines() if line.startswith("PresharedKey"))
    assert preshared in peers.splitlines()
    assert (await shell.quix("vpn", "peers", "--json")).json == {"conf_data": peers}


@pytest.mark.parametrize("change", ["up", "down", "rotate"])
async def test_a_tunnel_is_changed_by_the_backends_agent(there: Place, shell: Shell, change: str) -> None:
    async with there.agent(lambda _req, _msg: {"result": "success"}, "web-1", vpn=1) as agent:
        assert await shell.quix("vpn", change, "web-1") == (0, "", "")
        assert agent.asked == [("change_vpn", {"action": change, "conf_type": "wireguard"})]
    offline = await shell.quix("vpn", change, "web-1")
    assert offline.code == Exit.UNAVAILABLE
