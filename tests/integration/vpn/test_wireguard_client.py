"""The agent's WireGuard tunnel, on a real interface (wireguard-go), with what a real server hands out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.inside import living_in
from harness.lan import Lan, Machine
from quix.agent.tunnels import Ask
from quix.agent.wireguard import WireGuardTunnel
from quix.link.outcomes import AskError, RefusedError, RequestTimeoutError
from quix.server.fleet import Fleet
from quix.server.metrics import Metrics
from quix.server.settings import VpnSettings, WireGuardSettings
from quix.server.vpn import Vpn
from quix.store import Store
from quix.wire.messages import Request, VpnConf
from quix.wire.reasons import Reason, Refusal

pytestmark = pytest.mark.root


@pytest.fixture
def machine() -> Iterator[Machine]:
    lan = Lan()
    yield lan.machine()
    lan.remove()


@pytest.fixture
def vpn(store: Store, tmp_path: Path) -> Vpn:
    settings = WireGuardSettings(enabled=True, endpoint="192.0.2.9:51820", device="none")
    return Vpn(VpnSettings(wireguard=settings), store, tmp_path, Fleet(Metrics(), 1.0))


@pytest.fixture
def tunnel(machine: Machine, tmp_path: Path) -> WireGuardTunnel:
    return WireGuardTunnel(tmp_path / "agent", machine.tunnel, "of a test")


async def enrol(store: Store) -> str:
    return (await store.backends.create("ada", "192.0.2.1")).id


def asking(vpn: Vpn, backend: str, lost: AskError | None = None) -> Ask:
    """How a backend asks the server; where the answer is `lost`, with that."""

    async def ask(request: Request[VpnConf]) -> VpnConf:
        try:
            answer = await vpn.configuration(backend, request)  # type: ignore[arg-type]
        except Refusal as refusal:
            raise RefusedError(refusal.reason, refusal.detail) from refusal
        if lost is not None:
            raise lost
        return answer

    return ask


async def leased(store: Store, backend: str) -> str | None:
    lease = await store.leases.get(backend, "wireguard")
    return None if lease is None else lease.public_key


def key(machine: Machine) -> str:
    return machine.inside("wg", "show", machine.tunnel, "public-key").strip()


@pytest.mark.parametrize(
    "taken",
    [
        "link set {} down",
        "address flush dev {} scope global",
        "-4 route flush dev {} proto static",
        "-6 route flush dev {} proto static",
    ],
)
async def test_what_is_taken_from_the_interface_is_noticed_and_put_back(
    store: Store, vpn: Vpn, machine: Machine, tunnel: WireGuardTunnel, taken: str
) -> None:
    def state() -> list[str]:
        said = [machine.ip(each, "route", "show", "dev", machine.tunnel) for each in ("-4", "-6")]
        return [*said, machine.ip("-brief", "address", "show", "dev", machine.tunnel, "scope", "global")]

    with living_in(machine.name):
        await tunnel.refresh(asking(vpn, await enrol(store)), with_key=True)
        before = state()
        assert await tunnel.is_up()
        machine.ip(*taken.format(machine.tunnel).split())
        assert not await tunnel.is_up()
        await tunnel.start()
        assert await tunnel.is_up()
        assert state() == before


async def test_a_configuration_that_could_not_be_brought_up_is_tried_again(
    store: Store, vpn: Vpn, machine: Machine, tunnel: WireGuardTunnel
) -> None:
    ask = asking(vpn, await enrol(store))
    with living_in(machine.name):
        await tunnel.refresh(ask, with_key=True)
        machine.ip("address", "add", "10.83.9.9/24", "dev", "eth0")
        with pytest.raises(Refusal, match="eth0 of this machine is in"):
            await tunnel.rotate(ask)
        assert not await tunnel.is_up(), "so that it is tried again"
        machine.ip("address", "delete", "10.83.9.9/24", "dev", "eth0")
        await tunnel.refresh(ask, with_key=True)
        assert await tunnel.is_up()
        (lease,) = await vpn.page(None, 10)
        assert key(machine) == lease.public_key


async def test_a_new_key_whose_answer_was_lost_is_asked_for_again(
    store: Store, vpn: Vpn, machine: Machine, tunnel: WireGuardTunnel
) -> None:
    backend = await enrol(store)
    with living_in(machine.name):
        await tunnel.refresh(asking(vpn, backend), with_key=True)
        with pytest.raises(RequestTimeoutError):
            await tunnel.rotate(asking(vpn, backend, RequestTimeoutError()))
        assert await leased(store, backend) != key(machine), "the server has the new key"
        assert not await tunnel.is_up(), "so that it is asked again"
        await tunnel.refresh(asking(vpn, backend), with_key=True)
        assert await tunnel.is_up()
        assert await leased(store, backend) == key(machine)


async def test_a_machine_that_enrolled_anew_makes_another_key(
    store: Store, vpn: Vpn, machine: Machine, tunnel: WireGuardTunnel
) -> None:
    """What it was before still has the old one."""
    before, now = await enrol(store), await enrol(store)
    with living_in(machine.name):
        await tunnel.refresh(asking(vpn, before), with_key=True)
        old = await leased(store, before)
        await tunnel.refresh(asking(vpn, now), with_key=True)
        assert await tunnel.is_up()
        assert await leased(store, now) == key(machine) != old
        assert await leased(store, before) == old


async def test_a_key_that_is_refused_whatever_it_is(
    store: Store, vpn: Vpn, machine: Machine, tunnel: WireGuardTunnel
) -> None:
    asked: list[Request[VpnConf]] = []

    async def ask(request: Request[VpnConf]) -> VpnConf:
        asked.append(request)
        raise RefusedError(Reason.REQUEST_INVALID)

    backend = await enrol(store)
    with living_in(machine.name):
        await tunnel.refresh(asking(vpn, backend), with_key=True)
        before = key(machine)
        with pytest.raises(RefusedError):
            await tunnel.rotate(ask)
        assert len(asked) == 2
        assert await tunnel.is_up()
        await tunnel.refresh(asking(vpn, backend), with_key=True)
        assert before == key(machine) == await leased(store, backend)
