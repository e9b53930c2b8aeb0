"""The server's OpenVPN devices stay what the settings say, whatever becomes of them (openvpn, in a namespace)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from harness.lan import Lan, Machine
from harness.namespaces import Namespace
from quix.server import openvpn_daemons
from quix.server.openvpn import OpenVpn
from quix.server.settings import OpenVpnSettings
from quix.store import Store
from quix.vpn import management

pytestmark = pytest.mark.root


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    namespace = Namespace(tmp_path)
    yield namespace
    namespace.end()


PUT_BACK = """
import asyncio, subprocess, sys
from pathlib import Path
from quix import logs
from quix.server import openvpn_daemons
from quix.server.openvpn import OpenVpn
from quix.server.settings import OpenVpnSettings
from quix.store import Store

def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout

def rules():
    return "".join(ip(version, "rule", "show", "pref", "20510") for version in ("-4", "-6"))

async def until(condition, what):
    for _ in range(150):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what}: {rules()}")

async def main(folder):
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'quix.db'}")
    openvpn = OpenVpn(OpenVpnSettings(enabled=True, interface="qxd"), store.leases, folder)
    openvpn_daemons._LOOK = 0.05
    async with openvpn.running():
        before = sorted(rules().splitlines())
        assert len(before) == 4, before
        ip("rule", "delete", "pref", "20510", "iif", "qxd-tcp")
        await until(lambda: sorted(rules().splitlines()) == before, "the rule is back")
    assert rules() == "", "and all of it is gone with the server"
    await store.close()

logs.setup()
asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_rule_that_is_taken_from_a_device_is_put_back(namespace: Namespace, tmp_path: Path) -> None:
    namespace.run(sys.executable, "-c", PUT_BACK, tmp_path)


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def openvpn(machine: Machine, *words: str | Path) -> AsyncIterator[subprocess.Popen[str]]:
    program = machine.start("openvpn", *words)
    try:
        yield program
    finally:
        program.terminate()
        await asyncio.to_thread(program.communicate)


async def test_who_could_not_be_disconnected_is_once_the_daemon_answers(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon of somebody else's, so that this test needs no namespace of its own; ours are watched alike."""
    monkeypatch.setattr(openvpn_daemons, "_LOOK", 0.1)
    monkeypatch.setattr(management, "_TIMEOUT", 0.5)
    lan = Lan()
    hub, machine = lan.machine(), lan.machine()
    settings = OpenVpnSettings(enabled=True, daemon="none", endpoint=f"{hub.address}:1194")
    server = OpenVpn(settings, store.leases, tmp_path)
    backend = (await store.backends.create("ada", "192.0.2.1")).id
    profile = tmp_path / "profile.ovpn"
    try:
        async with server.running(), openvpn(hub, "--config", tmp_path / "openvpn/udp.conf"):
            profile.write_text((await server.configuration(backend, "udp", None)).conf_data)
            await until((tmp_path / "openvpn/udp.sock").exists, "the daemon listens")
            async with openvpn(machine, "--config", profile):
                await until(lambda: machine.reaches("10.84.0.1", 0.3), "the tunnel is up")
                with socket.socket(socket.AF_UNIX) as other:
                    other.connect(str(tmp_path / "openvpn/udp.sock"))
                    await asyncio.to_thread(other.recv, 100)  # it greets us, and so nobody else
                    await store.leases.revoke(backend, "openvpn")
                    await server.forget(backend)
                    assert await asyncio.to_thread(machine.reaches, "10.84.0.1", 3)
                await until(lambda: not machine.reaches("10.84.0.1", 0.3), "the revoked backend is disconnected")
    finally:
        lan.remove()
