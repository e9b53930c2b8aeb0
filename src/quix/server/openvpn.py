"""The server's OpenVPN: leases, certificates, and two daemons, one for udp and one for tcp.

Everything is in one folder: the authority's files, `udp.conf` and `tcp.conf`, and `jail/`, all that the daemons see
once they run: the list of withdrawn certificates, and `clients-udp/` and `clients-tcp/` with a file for each backend
that may connect. That file names the certificate in force, so what was handed out is known without asking the store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final, NoReturn

from quix import files, logs
from quix.exits import Exit, QuixError
from quix.server.openvpn_daemons import Daemons
from quix.server.settings import OpenVpnSettings
from quix.store.errors import AddressesExhaustedError, NotFoundError
from quix.store.leases import Lease, Leases
from quix.vpn import openvpn, tls_crypt
from quix.vpn.authority import Authority
from quix.vpn.openvpn import Mode, Service
from quix.wire.messages import VpnConf
from quix.wire.reasons import Reason, Refusal

log = logs.get(__name__)

OPENVPN: Final = "openvpn"


class OpenVpn:
    """An OpenVPN network that is enabled.

    Each backend has one lease, one certificate in force at a time, and so one transport. Its addresses are those of
    the lease over udp, and over tcp the ones at the same places in the other half of the pool: a backend has never two
    pairs at once, and no two backends have one.

    Raises:
        QuixError: the settings or the files cannot be used.
    """

    def __init__(self, settings: OpenVpnSettings, leases: Leases, data_dir: Path) -> None:
        self._settings = settings
        self._leases = leases
        self._lock = asyncio.Lock()
        folder = data_dir.absolute() / "openvpn"
        self._daemons = Daemons(settings, folder)
        self._services = self._daemons.services
        self._authority = Authority(folder, folder / "jail" / "crl.pem")
        self._crypt = _crypt_key(folder / "tls-crypt.key")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what the daemons read, and run them for as long as the block lasts, where that is ours to do."""
        try:
            await self._settle()
            await asyncio.to_thread(self._write_confs)
        except OSError as error:
            raise QuixError(f"{error.filename}: {error.strerror}", Exit.CONFIG) from error
        async with self._daemons.running():
            yield

    def _write_confs(self) -> None:
        for service in self._services.values():
            text = openvpn.server_conf(service, self._authority.server(), self._authority.cert, self._crypt)
            files.write_private(service.conf, text.encode())

    async def _settle(self) -> None:
        """Make files of backends and leases agree: a server may have ended, or the settings changed, in between."""
        leases = {lease.backend_id: lease for lease in await self._leases.with_keys(OPENVPN)}
        for service in self._services.values():
            for path in sorted(service.clients.iterdir()):
                if path.name.startswith("."):
                    path.unlink()  # half a file, of a server that was killed
                    continue
                lease = leases.get(path.name)
                if lease is None or not await self._renumber(service, lease):
                    await self._withdraw(path.name)

    async def _renumber(self, service: Service, lease: Lease) -> bool:
        """Write the file of a backend anew, with the addresses that it now has; False where it is not to have one."""
        held = openvpn.admitted((service.clients / lease.backend_id).read_text())
        if held is None or held.fingerprint != lease.public_key:
            return False
        try:
            claimed = await self._leases.claim(lease.backend_id, OPENVPN, self._services["udp"].pool)
        except (AddressesExhaustedError, NotFoundError):
            return False
        if not await self._leases.set_keys(lease.backend_id, OPENVPN, held.fingerprint):
            return False
        await asyncio.to_thread(self._admit, service, claimed, held)
        return True

    # -- backends -------------------------------------------------------------------------------

    async def configuration(self, backend_id: str, mode: Mode, held: str | None) -> VpnConf:
        """Return a profile, with a new certificate whose key is in it alone; the certificate before is withdrawn.

        Where the backend has the certificate `held` (its fingerprint), and that is in force for this transport, it
        stays, and the profile is without what that backend has already: certificate, key and tls-crypt-v2 key.

        Raises:
            Refusal: VPN_UNAVAILABLE or ADDRESSES_EXHAUSTED.
        """
        if self._daemons.obstacle:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"the server's OpenVPN is not up: {self._daemons.obstacle}")
        service = self._services[mode]
        async with self._lock:
            lease = await self._claim(backend_id)
            is_known = held is not None and lease.public_key == held and (service.clients / backend_id).exists()
            own = {} if is_known else await self._renew(service, lease)
        endpoint = self._settings.endpoint_of(mode)
        return VpnConf(conf_type=OPENVPN, conf_data=openvpn.client_conf(service, endpoint, self._authority.cert, own))

    async def _renew(self, service: Service, lease: Lease) -> dict[str, str]:
        identity = await asyncio.to_thread(self._authority.client, lease.backend_id)
        # In this order, so that wherever it is cut short no certificate is in force that nobody knows of.
        await self._withdraw(lease.backend_id)
        if not await self._leases.set_keys(lease.backend_id, OPENVPN, identity.fingerprint):
            _revoked()
        admitted = openvpn.Admitted(identity.serial, identity.fingerprint)
        await asyncio.to_thread(self._admit, service, lease, admitted)
        return openvpn.owned(identity, tls_crypt.client_key(self._crypt))

    async def _claim(self, backend_id: str) -> Lease:
        pool = self._services["udp"].pool
        try:
            lease = await self._leases.claim(backend_id, OPENVPN, pool)
        except AddressesExhaustedError:
            log.warning("vpn addresses exhausted", capacity=pool.capacity, remedy="widen vpn.openvpn.pool4, pool6")
            raise Refusal(Reason.ADDRESSES_EXHAUSTED) from None
        except NotFoundError:
            raise Refusal(Reason.VPN_UNAVAILABLE, "this backend has been removed") from None
        if lease.revoked_at is not None:
            _revoked()
        return lease

    async def forget(self, backend_id: str) -> None:
        """The backend's lease is no longer in force: withdraw its certificate and end its tunnel."""
        async with self._lock:
            await self._withdraw(backend_id)

    def _admit(self, service: Service, lease: Lease, admitted: openvpn.Admitted) -> None:
        """Let the backend connect to this daemon with this certificate."""
        pair = IPv4Address(lease.address4), IPv6Address(lease.address6)
        addresses = self._services["udp"].pool.counterpart(*pair, service.pool)
        files.write_public(service.clients / lease.backend_id, service.client(*addresses, admitted).encode())

    async def _withdraw(self, backend_id: str) -> None:
        """Make whatever certificate the backend has void, then end its connections."""
        services = [service for service in self._services.values() if (service.clients / backend_id).exists()]
        await asyncio.to_thread(self._strike, [service.clients / backend_id for service in services])
        for service in services:
            await self._daemons.disconnect(service.mode, backend_id)

    def _strike(self, paths: list[Path]) -> None:
        admitted = [openvpn.admitted(path.read_text()) for path in paths]
        self._authority.withdraw(*(each.serial for each in admitted if each is not None))
        for path in paths:
            path.unlink()


def _crypt_key(path: Path) -> str:
    """Return the tls-crypt-v2 key in the file `path` (0600), made now where there is none."""
    try:
        key = files.read_private(path).decode("ascii", "replace")
        tls_crypt.client_key(key)
    except FileNotFoundError:
        key = tls_crypt.server_key()
        files.write_private(path, key.encode())
    except OSError as error:
        raise QuixError(f"{path}: {error.strerror}", Exit.CONFIG) from error
    except ValueError as error:
        raise QuixError(f"{path}: {error}; restore it from a backup", Exit.CONFIG) from error
    return key


def _revoked() -> NoReturn:
    raise Refusal(Reason.VPN_UNAVAILABLE, "this backend's VPN lease is revoked; an operator may restore it")
