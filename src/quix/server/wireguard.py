"""The server's WireGuard: leases, keys, and the interface that follows them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from quix import logs
from quix.server.endpoints import Endpoints
from quix.server.settings import WireGuardSettings
from quix.store.errors import AddressesExhaustedError, AlreadyExistsError, NotFoundError, StoreUnavailableError
from quix.store.leases import Lease, Leases
from quix.vpn import forwarding, marks, tools, wireguard
from quix.vpn.interface import Interface, PeerStatus
from quix.vpn.pool import Pool
from quix.vpn.seal import Seal
from quix.vpn.tools import ToolError
from quix.wire.messages import VpnConf
from quix.wire.reasons import Reason, Refusal

log = logs.get(__name__)

T = TypeVar("T")

WIREGUARD: Final = "wireguard"

_LOOK: Final = 2.0
"""Seconds between looks at whether the interface is still there."""

_LOOKS: Final = 5
"""After so many of them it is looked at closely, and noted where the peers are."""

_FRESH: Final = 1.0
"""Seconds for which what the interface said of its peers is said again."""


_Opened = tuple[Lease, str, str]
"""A lease, its public key and its pre-shared key."""


class WireGuard:
    """Hands out configurations, and keeps the peers of the interface those of the store.

    The interface is ours, or somebody else's and only looked at, or (device `none`) none of our business. While it
    cannot be set up everything else goes on: configurations are refused, with what is missing, and it is tried again.

    Raises:
        QuixError: the settings or the server's key files cannot be used.
    """

    def __init__(self, settings: WireGuardSettings, leases: Leases, data_dir: Path) -> None:
        self._settings = settings
        self._leases = leases
        self._pool = Pool(settings.pool4, settings.pool6)
        self._keys = wireguard.server_keys(data_dir / "wireguard.key")
        self._seal = Seal(data_dir / "vpn.key")
        self._has_device = settings.device != "none"
        self._interface = Interface(settings.interface, marks.of_server(data_dir))
        self._server_key = self._keys.public
        self._lock = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._is_ours = False
        self._is_dirty = False
        self._obstacle = "it is being set up" if self._has_device else ""
        self._peers: dict[str, str] = {}
        self._endpoints = Endpoints(data_dir / "wireguard.endpoints")
        self._seen: tuple[float, dict[str, PeerStatus]] = (0.0, {})

    # -- the interface --------------------------------------------------------------------------

    async def start(self) -> None:
        """Set the interface up, as far as it can be; what stands in the way is logged."""
        if self._has_device:
            async with self._lock:
                await self._set_up()

    async def watch(self) -> None:
        """Set the interface up again whenever it is not what it should be, until `stop`."""
        looks = 0
        while self._has_device and not await self._stops_within(_LOOK):
            looks += 1
            async with self._lock:
                if self._stopping.is_set():
                    return  # it has been taken down while we waited
                if self._is_dirty or self._obstacle or not self._interface.exists():
                    await self._set_up()
                elif looks % _LOOKS == 0 and self._is_ours:
                    await self._look_closely()

    async def _look_closely(self) -> None:
        if await asyncio.to_thread(self._is_whole):
            await asyncio.to_thread(self._note)
            return
        log.warning("somebody changed the WireGuard interface; setting it up anew", interface=self._interface.name)
        await self._set_up()

    def _is_whole(self) -> bool:
        """Whether the interface has its addresses, and leads its packets where they may go and to no other place."""
        try:
            return self._interface.has(self._own_addresses()) and forwarding.leads(
                self._interface.name, self._reached()
            )
        except ToolError:
            return False  # it has gone meanwhile, or setting it up says what is wrong

    async def _stops_within(self, seconds: float) -> bool:
        # No cancelling: a thread that sets the interface up would go on, and make what was just removed.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def stop(self) -> None:
        """Remove the interface where it is ours."""
        self._stopping.set()
        async with self._lock:
            if self._is_ours:
                await asyncio.to_thread(self._note)
                await asyncio.to_thread(self._tear_down)
                self._is_ours = False

    async def _set_up(self) -> None:
        try:
            leases = [each for each in await self._leases.with_keys(WIREGUARD) if self._holds(each)]
            opened = await asyncio.to_thread(self._opened, leases)
            self._is_ours, self._server_key = await asyncio.to_thread(self._build, opened)
        except (ToolError, StoreUnavailableError) as error:
            if str(error) != self._obstacle:
                log.warning("no WireGuard interface; will try again", interface=self._interface.name, error=str(error))
            self._obstacle = str(error)
            return
        self._peers = {lease.backend_id: key for lease, key, _ in opened}
        self._obstacle, self._is_dirty = "", False
        event = "WireGuard interface is up" if self._is_ours else "WireGuard interface is another's, and only looked at"
        log.info(event, interface=self._interface.name, peers=len(opened), public_key=self._server_key)

    def _opened(self, leases: list[Lease]) -> list[_Opened]:
        """Return these leases with both of their keys; one whose pre-shared key cannot be read is left out."""
        opened = []
        for lease in leases:
            preshared_key = self._preshared_key(lease)
            if preshared_key is None or lease.public_key is None:
                log.warning("a pre-shared key cannot be opened; the backend has to ask anew", backend=lease.backend_id)
            else:
                opened.append((lease, lease.public_key, preshared_key))
        return opened

    def _build(self, peers: list[_Opened]) -> tuple[bool, str]:
        """Return whether the interface is ours, and its public key."""
        lacking = tools.missing("ip", "wg")
        if lacking:
            raise ToolError(f"the server lacks {lacking}")
        interface = self._interface
        state = interface.state()
        if state == "foreign":
            return False, interface.public_key()
        if state == "absent":
            driver = self._settings.device
            assert driver != "none"
            log.info("WireGuard interface made", interface=interface.name, driver=interface.make(driver))
        interface.bring_up(self._own_addresses())
        if lacking := "; ".join(forwarding.lead(interface.name, self._reached())):
            log.warning("backends will not all reach each other", topology=self._settings.topology, missing=lacking)
        # The peers last, so that nobody gets in before it is settled who may go where.
        known = self._endpoints.known if state == "absent" else {}
        interface.sync(self._text(peers, known))
        interface.stop_keepalive([public_key for _, public_key, _ in peers if public_key in known])
        return True, self._keys.public

    def _text(self, peers: list[_Opened], endpoints: Mapping[str, str]) -> str:
        port = self._settings.endpoint.rpartition(":")[2]
        head = f"[Interface]\nPrivateKey = {self._keys.private}\nListenPort = {port}\n"
        return "\n".join((head, *_sections(peers, endpoints)))

    def _note(self) -> None:
        try:
            self._endpoints.note(self._interface.peers())
        except ToolError as error:
            log.info("WireGuard does not tell where its peers are", error=str(error))

    def _tear_down(self) -> None:
        try:
            forwarding.forget(self._interface.name)
            self._interface.remove()
        except ToolError as error:
            log.warning("WireGuard interface not removed", interface=self._interface.name, error=str(error))
        else:
            log.info("WireGuard interface removed", interface=self._interface.name)

    def _own_addresses(self) -> tuple[IPv4Interface, IPv6Interface]:
        pool = self._pool
        return (
            IPv4Interface((pool.server4, pool.network4.prefixlen)),
            IPv6Interface((pool.server6, pool.network6.prefixlen)),
        )

    def _reached(self) -> tuple[wireguard.Network, ...]:
        """The networks that backends reach through the server, beyond the server itself."""
        return (self._pool.network4, self._pool.network6) if self._settings.topology == "hub" else ()

    # -- configurations -------------------------------------------------------------------------

    async def configuration(self, backend_id: str, public_key: str | None) -> VpnConf:
        """Return the backend's configuration: for its own key, or (None) with a private key that is made for it.

        A key that is made is in the answer alone. The public key replaces the one before, so of several configurations
        that a backend was given only the last one works. Asking again with the same key changes nothing.

        Raises:
            Refusal: VPN_UNAVAILABLE, ADDRESSES_EXHAUSTED, or REQUEST_INVALID for a key that is another's.
        """
        if self._obstacle:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"the server's WireGuard interface is not up: {self._obstacle}")
        if public_key == self._server_key:
            raise Refusal(Reason.REQUEST_INVALID, "msg.public_key: it is the server's own")
        lease = await self._lease(backend_id)
        preshared_key = self._preshared_key(lease)
        is_known = public_key is not None and public_key == lease.public_key and preshared_key is not None
        if is_known and (self._peers.get(backend_id) == public_key or not self._is_ours):
            return self._conf(lease, None, preshared_key)
        private_key = None
        if public_key is None:
            private_key, public_key = (pair := wireguard.generate_keys()).private, pair.public
        preshared_key = wireguard.generate_preshared_key()
        async with self._lock:
            await self._keep(lease, public_key, preshared_key)
            await self._put(lease, public_key, preshared_key)
        return self._conf(lease, private_key, preshared_key)

    async def _lease(self, backend_id: str) -> Lease:
        try:
            lease = await self._leases.claim(backend_id, WIREGUARD, self._pool)
        except AddressesExhaustedError:
            log.warning(
                "vpn addresses exhausted", capacity=self._pool.capacity, remedy="widen vpn.wireguard.pool4, pool6"
            )
            raise Refusal(Reason.ADDRESSES_EXHAUSTED) from None
        except NotFoundError:
            raise Refusal(Reason.VPN_UNAVAILABLE, "this backend has been removed") from None
        if lease.revoked_at is not None:
            _revoked()
        return lease

    async def _keep(self, lease: Lease, public_key: str, preshared_key: str) -> None:
        sealed = self._seal.close(preshared_key, lease.backend_id)
        try:
            if not await self._leases.set_keys(lease.backend_id, WIREGUARD, public_key, sealed):
                _revoked()
        except AlreadyExistsError:
            raise Refusal(Reason.REQUEST_INVALID, "msg.public_key: it is another backend's") from None

    async def _put(self, lease: Lease, public_key: str, preshared_key: str) -> None:
        """Have the interface know the backend by this key and no other."""
        if not self._is_ours:
            return
        allowed = [str(address) for address in _addresses(lease)]
        before = self._peers.pop(lease.backend_id, "")
        await self._change(lambda: self._interface.change_peer(before, public_key, preshared_key, allowed))
        self._peers[lease.backend_id] = public_key
        log.info("vpn peer set", backend=lease.backend_id, address=lease.address4)

    async def forget(self, backend_id: str) -> None:
        """The backend's lease is no longer in force: end its tunnel.

        Where that fails the interface is set up anew, without it.
        """
        async with self._lock:
            known = self._peers.pop(backend_id, None)
            if known is None or not self._is_ours:
                return
            try:
                await self._change(lambda: self._interface.remove_peer(known))
            except Refusal as error:
                log.warning("vpn peer not removed; will try again", backend=backend_id, error=error.detail)
            else:
                log.info("vpn peer removed", backend=backend_id)

    async def _change(self, change: Callable[[], None]) -> None:
        """Change the interface; where that fails `watch` sets it up anew, from the store."""
        try:
            await asyncio.to_thread(change)
        except BaseException as error:
            # Only `_set_up` takes this back. A change that works later says nothing of this one; nor does giving up
            # waiting, where a thread goes on that may yet fail.
            self._is_dirty = True
            if isinstance(error, ToolError):
                raise Refusal(Reason.VPN_UNAVAILABLE, f"the server's WireGuard interface: {error}") from error
            raise

    def _conf(self, lease: Lease, private_key: str | None, preshared_key: str | None) -> VpnConf:
        pool = self._pool
        text = wireguard.client_conf(
            private_key=private_key,
            addresses=_addresses(lease),
            server_key=self._server_key,
            preshared_key=preshared_key,
            endpoint=self._settings.endpoint,
            networks=self._reached() or (pool.server4, pool.server6),
        )
        return VpnConf(conf_type=WIREGUARD, conf_data=text)

    def _preshared_key(self, lease: Lease) -> str | None:
        return None if lease.preshared_key is None else self._seal.open(lease.preshared_key, lease.backend_id)

    def _holds(self, lease: Lease) -> bool:
        return self._pool.holds(*_addresses(lease))

    # -- what is there --------------------------------------------------------------------------

    async def peers(self) -> str:
        """Return the peer sections of all backends, for an interface that is not ours. They hold pre-shared keys."""
        leases = [each for each in await self._leases.with_keys(WIREGUARD) if self._holds(each)]
        return "\n".join(_sections(await asyncio.to_thread(self._opened, leases), {}))

    async def status(self) -> Mapping[str, PeerStatus]:
        """Return what the interface knows of its peers, by public key; nothing where there is no interface."""
        at, seen = self._seen
        if not self._has_device or self._obstacle or time.monotonic() - at < _FRESH:
            return seen
        try:
            found = await asyncio.to_thread(self._interface.peers)
        except ToolError as error:
            log.warning("WireGuard does not tell of its peers", interface=self._interface.name, error=str(error))
            return {}
        self._seen = time.monotonic(), {peer.public_key: peer for peer in found}
        return self._seen[1]


def _sections(peers: list[_Opened], endpoints: Mapping[str, str]) -> list[str]:
    return [
        wireguard.peer_section(public_key, preshared_key, _addresses(lease), endpoints.get(public_key, ""))
        for lease, public_key, preshared_key in peers
    ]


def _addresses(lease: Lease) -> tuple[IPv4Address, IPv6Address]:
    return IPv4Address(lease.address4), IPv6Address(lease.address6)


def _revoked() -> NoReturn:
    raise Refusal(Reason.VPN_UNAVAILABLE, "this backend's VPN lease is revoked; an operator may restore it")
