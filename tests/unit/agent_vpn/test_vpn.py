"""Fetching a VPN configuration: saved whole and private, and never a reason to stop."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from quix.agent import vpn
from quix.link.outcomes import AskError, BackendOfflineError, ConnectionLostError, RefusedError, RequestTimeoutError
from quix.wire.messages import GetVpnConf, VpnConf
from quix.wire.reasons import Reason

WIREGUARD = "[Interface]\nPrivateKey = hunter2\nAddress = 10.83.0.7/32\n"


def server(conf: VpnConf) -> Callable[[GetVpnConf], Awaitable[VpnConf]]:
    async def ask(_request: GetVpnConf) -> VpnConf:
        return conf

    return ask


def failing(error: AskError) -> Callable[[GetVpnConf], Awaitable[VpnConf]]:
    async def ask(_request: GetVpnConf) -> VpnConf:
        raise error

    return ask


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [("wireguard", WIREGUARD, "quix0.conf"), ("openvpn", "client\nremote th1.s.quix.click\n", "quix.ovpn")],
)
async def test_the_configuration_is_saved_as_it_came(tmp_path: Path, kind: vpn.Kind, text: str, name: str) -> None:
    path = await vpn.fetch(server(VpnConf(kind, text)), kind, tmp_path / "agent" / "vpn")
    assert path == tmp_path / "agent" / "vpn" / name
    assert path.read_text() == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_request_is_the_seeds(tmp_path: Path) -> None:
    asked: list[GetVpnConf] = []

    async def ask(request: GetVpnConf) -> VpnConf:
        asked.append(request)
        return VpnConf("wireguard", WIREGUARD)

    await vpn.fetch(ask, "wireguard", tmp_path)
    assert asked == [GetVpnConf(conf_type="wireguard", tun_mode="udp")]


@pytest.mark.parametrize(
    "error",
    [
        RefusedError(Reason.VPN_UNAVAILABLE),
        RefusedError("made_up_by_the_server"),
        ConnectionLostError(),
        RequestTimeoutError(),
        BackendOfflineError(),
    ],
)
async def test_what_ends_without_a_configuration_is_told_and_no_more(tmp_path: Path, error: AskError) -> None:
    with structlog.testing.capture_logs() as lines:
        assert await vpn.fetch(failing(error), "wireguard", tmp_path) is None
    (line,) = lines
    assert (line["log_level"], line["reason"]) == ("warning", error.reason)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "conf",
    [
        VpnConf("openvpn", "client\n"),
        VpnConf("wireguard", WIREGUARD + "PostUp = sh\n"),
        VpnConf("", WIREGUARD),
    ],
    ids=["another kind", "a command", "no kind"],
)
async def test_what_is_not_to_be_taken_does_not_replace_what_was_saved(tmp_path: Path, conf: VpnConf) -> None:
    path = await vpn.fetch(server(VpnConf("wireguard", WIREGUARD)), "wireguard", tmp_path)
    assert path is not None
    assert await vpn.fetch(server(conf), "wireguard", tmp_path) is None
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == WIREGUARD


async def test_a_configuration_that_cannot_be_saved_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with structlog.testing.capture_logs() as lines:
        assert await vpn.fetch(server(VpnConf("wireguard", WIREGUARD)), "wireguard", tmp_path / "file") is None
    assert lines[0]["log_level"] == "warning"


async def test_no_secret_is_logged(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as lines:
        await vpn.fetch(server(VpnConf("wireguard", WIREGUARD)), "wireguard", tmp_path)
        await vpn.fetch(server(VpnConf("wireguard", "hunter2")), "wireguard", tmp_path)
    assert len(lines) == 2
    assert "hunter2" not in str(lines)
