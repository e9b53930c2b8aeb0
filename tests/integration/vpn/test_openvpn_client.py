"""What the agent does with an OpenVPN profile before it lets openvpn have it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from harness.inside import living_in
from harness.lan import Lan
from quix.agent import openvpn_conf
from quix.agent.openvpn_client import OpenVpnTunnel, saved
from quix.link.outcomes import ConnectionLostError, RefusedError, RequestTimeoutError
from quix.server.openvpn import OpenVpn
from quix.server.settings import OpenVpnSettings
from quix.store import Store
from quix.vpn import daemon
from quix.wire.messages import GetVpnConf, GetVpnConfByKey, VpnConf
from quix.wire.reasons import Reason, Refusal

PROFILE = "client\nproto udp\nremote vpn.example 1194\ndev tun\n<ca>\nx\n</ca>\n<key>\nhunter2\n</key>\n"


class Server:
    """Answers with `conf`, or fails with it."""

    def __init__(self, conf: VpnConf | Exception) -> None:
        self.conf = conf
        self.asked: list[Any] = []

    async def ask(self, request: Any) -> VpnConf:
        self.asked.append(request)
        if isinstance(self.conf, Exception):
            raise self.conf
        return self.conf


def tunnel(folder: Path, mode: Any = "udp") -> OpenVpnTunnel:
    return OpenVpnTunnel(folder, "qxovpn0", mode)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PROFILE + "up /bin/sh\n", "none of those known to be harmless"),
        (PROFILE + "plugin x.so\n", "none of those known to be harmless"),
        (PROFILE + "route 8.8.8.0 255.255.255.0\n", "no private network"),
        (PROFILE + "redirect-gateway def1\n", "no private network"),
        (PROFILE + "route vpn.example\n", "no route to a network"),
        (PROFILE.replace("\n<ca>", "\nca /etc/ssl/x.pem\n<ca>"), "none of those known to be harmless"),
    ],
    ids=["script", "plugin", "route", "everything", "name", "file"],
)
async def test_what_would_do_harm_is_not_run(tmp_path: Path, text: str, words: str) -> None:
    client = tunnel(tmp_path)
    with pytest.raises(Refusal, match=words) as caught:
        await client.refresh(Server(VpnConf("openvpn", text)).ask, with_key=False)
    assert caught.value.reason is Reason.VPN_UNAVAILABLE
    assert "hunter2" not in caught.value.detail
    assert not await client.is_up()


async def test_another_kind_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="another kind"):
        await tunnel(tmp_path).refresh(Server(VpnConf("wireguard", PROFILE)).ask, with_key=False)
    assert list(tmp_path.iterdir()) == []


async def test_what_cannot_be_run_is_kept_for_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "missing", lambda: "openvpn (package openvpn)")
    client = tunnel(tmp_path / "agent" / "vpn", "tcp")
    server = Server(VpnConf("openvpn", PROFILE.replace("udp", "tcp")))
    with pytest.raises(Refusal, match=r"lacks openvpn .*qxovpn0\.ovpn is for you to use"):
        await client.refresh(server.ask, with_key=False)
    path = saved(tmp_path / "agent" / "vpn", "qxovpn0")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert client.is_configured
    assert not tunnel(tmp_path / "agent" / "vpn", "udp").is_configured
    assert server.asked == [GetVpnConf(conf_type="openvpn", tun_mode="tcp")]


@pytest.mark.parametrize(
    ("error", "stays"),
    [(RefusedError(Reason.VPN_UNAVAILABLE), False), (ConnectionLostError(), True), (RefusedError("made_up"), True)],
)
async def test_a_profile_goes_when_the_server_says_that_there_is_none(
    tmp_path: Path, error: Exception, stays: bool
) -> None:
    path = saved(tmp_path, "qxovpn0")
    path.touch(0o600)
    path.write_text(PROFILE)
    server = Server(error)
    with pytest.raises(type(error)):
        await tunnel(tmp_path).refresh(server.ask, with_key=True)
    assert path.exists() is stays
    assert server.asked == [GetVpnConfByKey(conf_type="openvpn", tun_mode="udp")]  # no whole identity is in that one


async def test_without_a_profile_there_is_nothing_to_start(tmp_path: Path) -> None:
    client = tunnel(tmp_path)
    await client.start()
    assert not await client.is_up()
    assert not client.is_configured


@pytest.mark.root
async def test_a_new_certificate_whose_answer_was_lost_is_asked_for_again(store: Store, tmp_path: Path) -> None:
    settings = OpenVpnSettings(enabled=True, daemon="none", endpoint="192.0.2.9:1194")
    server, client = OpenVpn(settings, store.leases, tmp_path), tunnel(tmp_path / "agent")
    backend = (await store.backends.create("ada", "192.0.2.1")).id

    async def ask(request: Any) -> VpnConf:
        return await server.configuration(backend, "udp", request.public_key or None)

    async def ask_in_vain(request: Any) -> VpnConf:
        await ask(request)
        raise RequestTimeoutError

    async def is_agreed_on() -> bool:
        lease = await store.leases.get(backend, "openvpn")
        assert lease is not None
        held = saved(tmp_path / "agent", "qxovpn0").read_text()
        return openvpn_conf.fingerprint(held) == lease.public_key

    lan = Lan()
    try:
        with living_in(lan.machine().name):
            await client.refresh(ask, with_key=True)
            assert await client.is_up()
            with pytest.raises(RequestTimeoutError):
                await client.rotate(ask_in_vain)
            assert not await is_agreed_on(), "the server has withdrawn what the agent holds"
            assert not await client.is_up(), "so that it is asked again"
            await client.refresh(ask, with_key=True)
            assert await client.is_up()
            assert await is_agreed_on()
            await client.stop()
    finally:
        lan.remove()
