"""The server's WireGuard interface stays what the store and the settings say, whatever becomes of it (wireguard-go)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.inside import living_in
from harness.lan import Lan, Machine
from quix.server import wireguard
from quix.server.settings import WireGuardSettings
from quix.server.wireguard import WireGuard
from quix.store import Store
from quix.vpn import forwarding
from quix.vpn.interface import Interface
from quix.vpn.tools import ToolError
from quix.vpn.wireguard import generate_keys

pytestmark = pytest.mark.root

POOL = "10.83.0.0/16"


@pytest.fixture
def machine() -> Iterator[Machine]:
    lan = Lan()
    yield lan.machine()
    lan.remove()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wireguard, "_LOOK", 0.05)


def make(machine: Machine, store: Store, folder: Path, **more: Any) -> WireGuard:
    settings = WireGuardSettings(
        enabled=True, interface=machine.tunnel, device="wireguard-go", endpoint="192.0.2.1:51820", **more
    )
    return WireGuard(settings, store.leases, folder)


@contextlib.asynccontextmanager
async def watched(server: WireGuard, *, starts: bool = True) -> AsyncIterator[None]:
    if starts:
        await server.start()
    watching = asyncio.create_task(server.watch())
    try:
        yield
    finally:
        await server.stop()
        await asyncio.wait_for(watching, 10)


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


def rules(machine: Machine, version: str) -> str:
    return machine.ip(version, "rule", "show", "pref", "20510")


@pytest.mark.parametrize("version", ["-4", "-6"])
@pytest.mark.parametrize("lost", ["rule", "routes", "down", "addresses"])
async def test_what_is_taken_from_the_interface_is_put_back(
    store: Store, tmp_path: Path, machine: Machine, version: str, lost: str
) -> None:
    server = make(machine, store, tmp_path)
    with living_in(machine.name):
        async with watched(server):
            whole = [rules(machine, each) for each in ("-4", "-6")]
            (table,) = {line.split()[-1] for line in "".join(whole).splitlines()}

            def state() -> list[str]:
                kinds = (["route", "show", "table", table], ["address", "show", "dev", machine.tunnel])
                return [rules(machine, version), *(machine.ip(version, *kind) for kind in kinds)]

            before = state()
            assert "10.83" in before[1] + before[2] or "fd83:" in before[1] + before[2]
            match lost:
                case "rule":
                    machine.ip(version, "rule", "delete", "pref", "20510")
                case "routes":
                    machine.ip(version, "route", "flush", "table", table)
                case "down":
                    machine.ip("link", "set", machine.tunnel, "down")
                case "addresses":
                    machine.ip(version, "address", "flush", "dev", machine.tunnel, "scope", "global")
            await until(lambda: state() == before, f"{lost} of {version}")
    assert rules(machine, "-4") + rules(machine, "-6") == "", "and all of it is gone with the server"


async def test_systemd_networkd_takes_rule_and_routes_for_the_kernels(
    store: Store, tmp_path: Path, machine: Machine
) -> None:
    """It deletes those of any other protocol where it did not make them itself."""
    server = make(machine, store, tmp_path)
    with living_in(machine.name):
        async with watched(server):
            for version in ("-4", "-6"):
                said = machine.ip(version, "-details", "rule", "show", "pref", "20510")
                assert "proto kernel" in said
                table = said.split(" lookup ")[1].split()[0]
                routes = machine.ip(version, "-details", "route", "show", "table", table).splitlines()
                assert len(routes) == 2
                assert all("proto kernel" in each for each in routes)


async def test_a_machine_without_ipv6_is_a_hub_for_ipv4(store: Store, tmp_path: Path, machine: Machine) -> None:
    """As containers are by default."""
    for each in ("all", "default"):
        machine.inside("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{each}/disable_ipv6")
    server = make(machine, store, tmp_path)
    backend, key = (await store.backends.create("ada", "192.0.2.1")).id, generate_keys().public
    with living_in(machine.name):
        async with watched(server):
            assert "10.83.0.0/16" in (await server.configuration(backend, key)).conf_data
            table = rules(machine, "-4").split()[-1]
            assert machine.ip("route", "show", "table", table).startswith("prohibit default")
            assert await asyncio.to_thread(server._is_whole)


async def test_a_hub_that_was_killed_and_is_isolated_now_leads_nowhere(
    store: Store, tmp_path: Path, machine: Machine
) -> None:
    with living_in(machine.name):
        await make(machine, store, tmp_path).start()  # and it is never stopped
        async with watched(make(machine, store, tmp_path, topology="isolated")):
            for version in ("-4", "-6"):
                table = rules(machine, version).split()[-1]
                assert machine.ip(version, "route", "show", "table", table).split()[:2] == ["prohibit", "default"]


async def test_the_rule_of_an_interface_that_was_made_anew_is_the_only_one(
    store: Store, tmp_path: Path, machine: Machine
) -> None:
    with living_in(machine.name):
        async with watched(make(machine, store, tmp_path)):
            before = rules(machine, "-4")
            machine.ip("link", "delete", machine.tunnel)
            await until(lambda: machine.has_tunnel() and rules(machine, "-4") not in {before, ""}, "it is back")
            await until(lambda: len(rules(machine, "-4").splitlines()) == 1, "the old rule is gone")


async def test_an_interface_that_has_just_gone_is_said_so(machine: Machine) -> None:
    with living_in(machine.name):
        for work in (forwarding.lead, forwarding.leads):
            with pytest.raises(ToolError, match=f"{machine.tunnel} has just gone"):
                work(machine.tunnel, ())


async def test_a_peer_that_could_not_be_removed_goes_whatever_works_meanwhile(
    store: Store, tmp_path: Path, machine: Machine
) -> None:
    backends = [(await store.backends.create("ada", "192.0.2.1")).id for _ in range(2)]
    keys = [generate_keys().public for _ in range(3)]
    server = make(machine, store, tmp_path)

    def peers() -> set[str]:
        return set(machine.inside("wg", "show", machine.tunnel, "peers").split())

    with living_in(machine.name):
        await server.start()
        for backend, key in zip(backends, keys, strict=False):
            await server.configuration(backend, key)
        await store.leases.revoke(backends[0], "wireguard")
        with out_of_reach(machine):
            await server.forget(backends[0])
        assert peers() == {*keys[:2]}
        await server.configuration(backends[1], keys[2])
        assert peers() == {keys[0], keys[2]}
        async with watched(server, starts=False):
            await until(lambda: peers() == {keys[2]}, "the revoked peer is gone")


async def test_a_change_that_nobody_waits_for_any_more_is_looked_after(
    store: Store, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, key = (await store.backends.create("ada", "192.0.2.1")).id, generate_keys().public
    server = make(machine, store, tmp_path)
    change, began, may_end = Interface.change_peer, threading.Event(), threading.Event()

    def fail_late(*given: Any) -> None:
        began.set()
        may_end.wait(10)
        raise ToolError("too late")

    with living_in(machine.name):
        await server.start()
        monkeypatch.setattr(Interface, "change_peer", fail_late)
        asking = asyncio.create_task(server.configuration(backend, key))
        await until(began.is_set, "the change has begun")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        may_end.set()
        monkeypatch.setattr(Interface, "change_peer", change)
        async with watched(server, starts=False):
            await until(lambda: key in machine.inside("wg", "show", machine.tunnel, "peers"), "the peer is there")


@contextlib.contextmanager
def out_of_reach(machine: Machine) -> Iterator[None]:
    """Nothing can be asked of the machine's wireguard-go meanwhile."""
    socket = Path(f"/var/run/wireguard/{machine.tunnel}.sock")
    aside = socket.rename(socket.with_suffix(".aside"))
    try:
        yield
    finally:
        aside.rename(socket)
