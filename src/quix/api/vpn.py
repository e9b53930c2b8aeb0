"""VPN leases of backends, and the configurations that go with them."""

from __future__ import annotations

from typing import Final

from litestar import delete, get, post
from litestar.params import JSONBody
from msgspec import UNSET, Struct, UnsetType

from quix import logs
from quix.api.access import AsUser, Named, Parts
from quix.api.errors import raises
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import NAMING, OPERATING, READING, Problem, ProblemError
from quix.server.accounts import can_operate, can_read
from quix.server.vpn import WIREGUARD
from quix.store.leases import Lease
from quix.wire.messages import GetVpnConf

log = logs.get(__name__)

TAG: Final = "vpn"


class Wanted(Struct, forbid_unknown_fields=True):
    """`conf_type` is wireguard or openvpn; `tun_mode`, udp or tcp, may be left out for wireguard."""

    conf_type: str
    tun_mode: str | UnsetType = UNSET


class Configuration(Struct):
    """`conf_data` is a complete configuration file, private key included."""

    conf_type: str
    conf_data: str

    def __repr__(self) -> str:
        return f"Configuration(conf_type={self.conf_type!r})"


@get(
    "/vpn",
    operation_id="listLeases",
    summary="List VPN leases",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *READING),
)
async def list_leases(control: Parts, after: After = None, limit: Limit = DEFAULT_LIMIT) -> Page[Lease]:
    """Return the leases of all backends by backend id, revoked ones too."""
    return await turn(control.vpn.page, lambda lease: lease.backend_id, after, limit)


@get(
    "/vpn",
    operation_id="getLease",
    summary="Look at a VPN lease",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING, Problem.LEASE_UNKNOWN),
)
async def get_lease(control: Parts, backend: Named) -> Lease:
    """Return the backend's lease, also where it is revoked."""
    lease = await control.store.leases.get(backend.id, WIREGUARD)
    if lease is None:
        raise ProblemError(Problem.LEASE_UNKNOWN)
    return lease


@post(
    "/vpn",
    operation_id="configureVpn",
    summary="Make a VPN configuration",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.REFUSED),
)
async def configure(control: Parts, request: AsUser, backend: Named, data: JSONBody[Wanted]) -> Configuration:
    """Make a configuration for the backend, on the addresses it has or new ones; a revoked lease has to be restored
    first.

    The key pair is new each time, so a configuration that was handed out before ends to work.
    """
    made = await control.vpn.configuration(backend.id, GetVpnConf(conf_type=data.conf_type, tun_mode=data.tun_mode))
    log.info("vpn configuration made", user=request.user.name, backend=backend.id, conf_type=made.conf_type)
    return Configuration(made.conf_type, made.conf_data)


@post(
    "/vpn/restore",
    operation_id="restoreLease",
    summary="Restore a VPN lease",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING, Problem.LEASE_UNKNOWN),
)
async def restore(control: Parts, request: AsUser, backend: Named) -> Lease:
    """Put the backend's revoked lease in force again, with the same addresses; one that is in force stays as it is.

    The backend needs a new configuration, which it gets when it asks for one.
    """
    if await control.vpn.restore(backend.id):
        log.info("vpn lease restored", user=request.user.name, backend=backend.id)
    lease = await control.store.leases.get(backend.id, WIREGUARD)
    if lease is None:
        raise ProblemError(Problem.LEASE_UNKNOWN)
    return lease


@delete(
    "/vpn",
    operation_id="revokeLease",
    summary="Revoke a VPN lease",
    tags=[TAG],
    may=can_operate,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING, Problem.LEASE_UNKNOWN),
)
async def revoke(control: Parts, request: AsUser, backend: Named) -> None:
    """Withdraw the backend's lease; it keeps its addresses for when the lease is restored."""
    if not await control.vpn.revoke(backend.id):
        raise ProblemError(Problem.LEASE_UNKNOWN, "The backend has no VPN lease in force.")
    log.info("vpn lease revoked", user=request.user.name, backend=backend.id)
