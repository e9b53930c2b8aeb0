"""The server's OpenVPN devices stay what the settings say, whatever becomes of them (openvpn, in a namespace)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.namespaces import Namespace

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
