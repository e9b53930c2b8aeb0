"""Handing out VPN configurations (seed: "VPN Configuration"), and withdrawing them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final, NoReturn

from msgspec import UNSET, Struct

from quix import logs
from quix.server.settings import VpnSettings, WireGuardSettings
from quix.store import Store
from quix.store.errors import AddressesExhaustedError, NotFoundError
from quix.store.leases import Lease
from quix.vpn import wireguard
from quix.vpn.pool import Pool
from quix.wire.messages import GetVpnConf, VpnConf
from quix.wire.reasons import Reason, Refusal

log = logs.get(__name__)

WIREGUARD: Final = "wireguard"
OPENVPN: Final = "openvpn"
TUN_MODES: Final = {WIREGUARD: frozenset({"udp"}), OPENVPN: frozenset({"udp", "tcp"})}
"""The kinds of VPN that the protocol knows, and what each can travel in."""


class _Network(Struct, frozen=True):
    """A WireGuard network that is enabled."""

    settings: WireGuardSettings
    pool: Pool
    keys: wireguard.KeyPair


class Vpn:
    """The VPN's side that backends and operators see: leases and configuration files, no interface.

    Raises:
        QuixError: the settings or the server's key file cannot be used.
    """

    def __init__(self, settings: VpnSettings, store: Store, data_dir: Path) -> None:
        self._leases = store.leases
        self._wireguard = _enabled(settings.wireguard, data_dir) if settings.wireguard.enabled else None

    async def configuration(self, backend_id: str, request: GetVpnConf) -> VpnConf:
        """Answer `get_vpn_conf`: the backend's own addresses, and a fresh key pair each time.

        The private key is in the answer alone. The public key replaces that of the answer before, so of several
        configurations that a backend was given only the last one works.

        Raises:
            Refusal: CONF_TYPE_UNKNOWN, TUN_MODE_INVALID, VPN_UNAVAILABLE or ADDRESSES_EXHAUSTED.
        """
        network = self._network(request)
        lease = await self._lease(backend_id, network)
        keys = wireguard.generate_keys()
        if lease.revoked_at is not None or not await self._leases.set_public_key(backend_id, WIREGUARD, keys.public):
            raise Refusal(Reason.VPN_UNAVAILABLE, "this backend's VPN lease is revoked; an operator may restore it")
        text = wireguard.client_conf(
            private_key=keys.private,
            addresses=(IPv4Address(lease.address4), IPv6Address(lease.address6)),
            server_key=network.keys.public,
            endpoint=network.settings.endpoint,
            networks=(network.pool.network4, network.pool.network6),
        )
        return VpnConf(conf_type=WIREGUARD, conf_data=text)

    def _network(self, request: GetVpnConf) -> _Network:
        modes = TUN_MODES.get(request.conf_type)
        if modes is None:
            raise Refusal(Reason.CONF_TYPE_UNKNOWN, "msg.conf_type: wireguard or openvpn")
        may_be_left_out = request.conf_type == WIREGUARD
        if request.tun_mode not in modes and not (may_be_left_out and request.tun_mode is UNSET):
            raise Refusal(Reason.TUN_MODE_INVALID, f"msg.tun_mode: {' or '.join(sorted(modes))}")
        if request.conf_type != WIREGUARD or self._wireguard is None:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"this server offers no {request.conf_type}")
        return self._wireguard

    async def _lease(self, backend_id: str, network: _Network) -> Lease:
        try:
            return await self._leases.claim(backend_id, WIREGUARD, network.pool)
        except AddressesExhaustedError:
            _exhausted(network.pool)
        except NotFoundError:
            raise Refusal(Reason.VPN_UNAVAILABLE, "this backend has been removed") from None

    async def page(self, after: str | None, limit: int) -> list[Lease]:
        """Return up to `limit` leases, revoked ones too, by backend id, those past the id `after`."""
        return await self._leases.page(WIREGUARD, after, limit)

    async def revoke(self, backend_id: str) -> bool:
        """Hand a backend no configuration any more; return whether it had a lease in force."""
        return await self._leases.revoke(backend_id, WIREGUARD)

    async def restore(self, backend_id: str) -> bool:
        """Undo `revoke`, with the same addresses; return whether there was a revoked lease."""
        return await self._leases.restore(backend_id, WIREGUARD)


def _enabled(settings: WireGuardSettings, data_dir: Path) -> _Network:
    return _Network(settings, Pool(settings.pool4, settings.pool6), wireguard.server_keys(data_dir / "wireguard.key"))


def _exhausted(pool: Pool) -> NoReturn:
    log.warning("vpn addresses exhausted", capacity=pool.capacity, remedy="widen vpn.wireguard.pool4 and pool6")
    raise Refusal(Reason.ADDRESSES_EXHAUSTED) from None
