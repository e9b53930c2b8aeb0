"""What a server that was killed leaves behind is gone after the next start, where its settings do not want it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.namespaces import Namespace

pytestmark = pytest.mark.root

NAME = f"qxl{os.getpid()}"
"""Of the WireGuard interface: a socket of wireguard-go is seen from every namespace."""

SERVE = """
import asyncio, os, signal, sys
from pathlib import Path
from quix import logs
from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.settings import OpenVpnSettings, VpnSettings, WireGuardSettings
from quix.server.vpn import Vpn
from quix.store import Store

async def main(folder, kinds, name, ends):
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'quix.db'}")
    settings = VpnSettings(
        wireguard=WireGuardSettings(enabled="wireguard" in kinds, interface=name, device="wireguard-go"),
        openvpn=OpenVpnSettings(enabled="openvpn" in kinds, interface="qxl"),
    )
    vpn = Vpn(settings, store, folder, Fleet(Metrics(), 1.0))
    async with vpn.running():
        if "openvpn" in kinds:
            while not (folder / "openvpn" / "udp.sock").exists() or not (folder / "openvpn" / "tcp.sock").exists():
                await asyncio.sleep(0.05)
        os.system("ip -brief link; ip rule show pref 20510")
        if ends == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
    await store.close()

logs.setup()
asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
"""


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    namespace = Namespace(tmp_path)
    yield namespace
    if pids := running(namespace):
        subprocess.run(["kill", "-9", *pids])
    namespace.end()


def running(namespace: Namespace) -> list[str]:
    return subprocess.run(["ip", "netns", "pids", namespace.name], capture_output=True, text=True).stdout.split()


def serve(namespace: Namespace, folder: Path, kinds: str, *, name: str = NAME, ends: str = "well") -> str:
    """Return what interfaces and rules there are while a server runs, which then ends."""
    words = ["ip", "netns", "exec", namespace.name, sys.executable, "-c", SERVE, str(folder), kinds, name, ends]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == (0 if ends == "well" else -9), done.stderr
    return done.stdout


def test_a_vpn_that_is_switched_off_ends_also_after_a_kill(namespace: Namespace, tmp_path: Path) -> None:
    up = serve(namespace, tmp_path, "wireguard openvpn", ends="killed")
    assert all(up.count(name) >= 2 for name in (NAME, "qxl-udp", "qxl-tcp")), f"a link and a rule of each: {up}"
    assert len(running(namespace)) == 3, "wireguard-go and two daemons"
    namespace.run("ip", "link", "add", "theirs", "type", "veth", "peer", "name", "far")
    off = serve(namespace, tmp_path, "")
    assert "theirs" in off
    assert not any(name in off for name in (NAME, "qxl"))
    assert running(namespace) == []


def test_an_interface_of_another_name_is_not_left_beside_the_old_one(namespace: Namespace, tmp_path: Path) -> None:
    serve(namespace, tmp_path, "wireguard", ends="killed")
    up = serve(namespace, tmp_path, "wireguard", name=f"{NAME}x")
    assert f"{NAME}x" in up
    assert f"{NAME} " not in up
    assert not namespace.has(f"{NAME}x")
