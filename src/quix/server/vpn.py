"""The VPNs that the server offers (seed: "VPN Configuration"): which there are, and whose leases are in force."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import UNSET

from quix import logs
from quix.exits import Exit, QuixError
from quix.link.outcomes import AskError, RefusedError
from quix.server import leftovers
from quix.server.fleet import Fleet
from quix.server.openvpn import OPENVPN, OpenVpn
from quix.server.settings import VpnSettings
from quix.server.wireguard import WIREGUARD, WireGuard
from quix.store import Store
from quix.store.leases import Lease
from quix.store.sight import EVERYTHING, Sight
from quix.vpn.interface import PeerStatus
from quix.vpn.pool import Pool
from quix.wire.extensions import VPN
from quix.wire.messages import ChangeVpn, ConfType, GetVpnConf, GetVpnConfByKey, VpnConf
from quix.wire.reasons import Reason, Refusal

log = logs.get(__name__)

TUN_MODES: Final[Mapping[str, frozenset[str]]] = {WIREGUARD: frozenset({"udp"}), OPENVPN: frozenset({"udp", "tcp"})}
"""The kinds of VPN that the protocol knows, and what each can travel in."""

_TELLING: Final = 10.0
"""Seconds that an agent has to take note of a change of its lease; whoever made the change waits for it."""


class Vpn:
    """What backends and operators see of the VPNs.

    Raises:
        QuixError: the settings or the server's key files cannot be used.
    """

    def __init__(self, settings: VpnSettings, store: Store, data_dir: Path, fleet: Fleet) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._leases = store.leases
        self._fleet = fleet
        self._wireguard = WireGuard(settings.wireguard, store.leases, data_dir) if settings.wireguard.enabled else None
        self._openvpn = OpenVpn(settings.openvpn, store.leases, data_dir) if settings.openvpn.enabled else None
        if self._wireguard is not None and self._openvpn is not None:
            _keep_apart(settings)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the interfaces up for as long as the block lasts."""
        await asyncio.to_thread(leftovers.remove, self._settings, self._data_dir)
        async with contextlib.AsyncExitStack() as stack:
            if self._wireguard is not None:
                await stack.enter_async_context(_up(self._wireguard))
            if self._openvpn is not None:
                await stack.enter_async_context(self._openvpn.running())
            yield

    # -- for backends ---------------------------------------------------------------------------

    async def configuration(self, backend_id: str, request: GetVpnConf | GetVpnConfByKey) -> VpnConf:
        """Answer `get_vpn_conf`: the backend's own addresses, with its own key or with a new pair each time.

        Raises:
            Refusal: CONF_TYPE_UNKNOWN, TUN_MODE_INVALID, VPN_UNAVAILABLE, ADDRESSES_EXHAUSTED, or REQUEST_INVALID
                for a key that is another's.
        """
        modes = TUN_MODES.get(request.conf_type)
        if modes is None:
            raise Refusal(Reason.CONF_TYPE_UNKNOWN, "msg.conf_type: wireguard or openvpn")
        may_be_left_out = request.conf_type == WIREGUARD
        if request.tun_mode not in modes and not (may_be_left_out and request.tun_mode is UNSET):
            raise Refusal(Reason.TUN_MODE_INVALID, f"msg.tun_mode: {' or '.join(sorted(modes))}")
        key = request.public_key if isinstance(request, GetVpnConfByKey) and request.public_key else None
        if request.conf_type == WIREGUARD and self._wireguard is not None:
            return await self._wireguard.configuration(backend_id, key)
        if request.conf_type == OPENVPN and self._openvpn is not None:
            return await self._openvpn.configuration(backend_id, "tcp" if request.tun_mode == "tcp" else "udp", key)
        raise Refusal(Reason.VPN_UNAVAILABLE, f"this server offers no {request.conf_type}")

    # -- for operators --------------------------------------------------------------------------

    async def page(self, after: str | None, limit: int, sight: Sight = EVERYTHING) -> list[Lease]:
        """Return up to `limit` leases of all kinds, revoked ones too, those past the lease of which `after` is the
        `place`, of backends that are seen."""
        return await self._leases.page(after, limit, sight)

    async def status(self) -> Mapping[str, PeerStatus]:
        """Return what the interface knows of its peers, by public key."""
        return {} if self._wireguard is None else await self._wireguard.status()

    async def peers(self) -> str:
        """Return the WireGuard peer sections of all backends; they hold pre-shared keys.

        Raises:
            Refusal: VPN_UNAVAILABLE; there is no WireGuard.
        """
        if self._wireguard is None:
            raise Refusal(Reason.VPN_UNAVAILABLE, "this server offers no wireguard")
        return await self._wireguard.peers()

    async def revoke(self, backend_id: str, conf_type: ConfType = WIREGUARD) -> bool:
        """End a backend's tunnel and hand it no configuration any more; return whether it had a lease in force."""
        was_in_force = await self._leases.revoke(backend_id, conf_type)
        await self._forget(backend_id, conf_type)
        await self._refresh(backend_id, conf_type)
        return was_in_force

    async def restore(self, backend_id: str, conf_type: ConfType = WIREGUARD) -> bool:
        """Undo `revoke`, with the same addresses; return whether there was a revoked lease."""
        was_revoked = await self._leases.restore(backend_id, conf_type)
        if was_revoked:
            await self._refresh(backend_id, conf_type)
        return was_revoked

    async def forget(self, backend_id: str) -> None:
        """End the tunnels of a backend that was removed."""
        await self._forget(backend_id, WIREGUARD)
        await self._forget(backend_id, OPENVPN)

    async def _forget(self, backend_id: str, conf_type: ConfType) -> None:
        network = self._wireguard if conf_type == WIREGUARD else self._openvpn
        if network is not None:
            await network.forget(backend_id)

    async def change(self, backend_id: str, change: ChangeVpn) -> None:
        """Have a backend's agent change its tunnel.

        Raises:
            AskError: as `Fleet.ask`; REQUEST_UNKNOWN where the agent does not see to tunnels.
        """
        session = self._fleet.session(backend_id)
        if session is not None and VPN not in session.extensions:
            raise RefusedError(
                Reason.REQUEST_UNKNOWN, "the agent of this backend does not see to tunnels (extension vpn)"
            )
        await self._fleet.ask(backend_id, change)

    async def _refresh(self, backend_id: str, conf_type: ConfType) -> None:
        """Tell a backend that is here, and understands it; the others find out when they ask."""
        session = self._fleet.session(backend_id)
        if session is None or VPN not in session.extensions:
            return
        try:
            await self._fleet.ask(backend_id, ChangeVpn(action="refresh", conf_type=conf_type), _TELLING)
        except AskError as error:
            log.info("backend not told of its VPN lease", backend=backend_id, reason=error.reason)


@contextlib.asynccontextmanager
async def _up(wireguard: WireGuard) -> AsyncIterator[None]:
    await wireguard.start()
    watching = asyncio.create_task(wireguard.watch())
    try:
        yield
    finally:
        await wireguard.stop()  # no cancelling: see `watch`
        await watching


def _keep_apart(settings: VpnSettings) -> None:
    """Two networks with the same addresses would each get half of the other's packets."""
    one, other = settings.wireguard, settings.openvpn
    first, second = Pool(one.pool4, one.pool6), Pool(other.pool4, other.pool6, "vpn.openvpn")
    if first.network4.overlaps(second.network4):
        raise QuixError("vpn.openvpn.pool4: it overlaps vpn.wireguard.pool4; choose another", Exit.CONFIG)
    if first.network6.overlaps(second.network6):
        raise QuixError("vpn.openvpn.pool6: it overlaps vpn.wireguard.pool6; choose another", Exit.CONFIG)
