"""VPN leases of backends, and the configurations that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from quix import logs
from quix.api.access import AsUser, Named, Parts
from quix.api.errors import raises
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, ASKING, NAMING, OPERATING, READING, Problem, ProblemError
from quix.link.outcomes import AskError
from quix.server.accounts import can_operate, can_read
from quix.server.control import Control
from quix.server.events import Kind
from quix.server.wireguard import WIREGUARD
from quix.store import leases as store
from quix.store.actions import Action
from quix.vpn.interface import PeerStatus
from quix.wire.messages import ChangeVpn, ConfType, GetVpnConf

log = logs.get(__name__)

TAG: Final = "vpn"


class Wanted(Struct, forbid_unknown_fields=True):
    """`conf_type` is wireguard or openvpn; `tun_mode`, udp or tcp, may be left out for wireguard."""

    conf_type: Annotated[str, Meta(extra_json_schema={"enum": ["wireguard", "openvpn"]})]
    tun_mode: Annotated[str, Meta(extra_json_schema={"enum": ["udp", "tcp"]})] | UnsetType = UNSET


class Configuration(Struct):
    """`conf_data` is a complete configuration file, private key included."""

    conf_type: str
    conf_data: str

    def __repr__(self) -> str:
        return f"Configuration(conf_type={self.conf_type!r})"


class Traffic(Struct):
    """What the server's interface knows of a peer. `last_handshake` in epoch seconds, null before the first; `received`
    and `sent` in bytes, by the server; `endpoint` is where the peer was last heard from, empty before that."""

    endpoint: str
    last_handshake: float | None
    received: int
    sent: int


class Lease(Struct):
    """Addresses of a backend, without prefix length. `public_key` is that of the last configuration, null where none is
    in force; `traffic` is null where the server has no interface that knows the key. Times in epoch seconds."""

    backend_id: str
    conf_type: str
    address4: str
    address6: str
    public_key: str | None
    issued_at: float
    revoked_at: float | None
    traffic: Traffic | None


OfType = Annotated[ConfType, QueryParameter(name="conf_type", description="wireguard (unless said) or openvpn.")]


class Peers(Struct):
    """`conf_data` are the `[Peer]` sections of a WireGuard server, pre-shared keys included."""

    conf_data: str

    def __repr__(self) -> str:
        return "Peers()"


def _shown(lease: store.Lease, status: Mapping[str, PeerStatus]) -> Lease:
    peer = status.get(lease.public_key or "")
    traffic = None if peer is None else Traffic(peer.endpoint, peer.handshake or None, peer.received, peer.sent)
    return Lease(
        lease.backend_id,
        lease.conf_type,
        lease.address4,
        lease.address6,
        lease.public_key,
        lease.issued_at,
        lease.revoked_at,
        traffic,
    )


async def _find(control: Control, backend_id: str, conf_type: ConfType) -> Lease:
    lease = await control.store.leases.get(backend_id, conf_type)
    if lease is None:
        raise ProblemError(Problem.LEASE_UNKNOWN)
    return _shown(lease, await control.vpn.status())


@get(
    "/vpn",
    operation_id="listLeases",
    summary="List VPN leases",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *READING),
)
async def list_leases(
    control: Parts, request: AsUser, after: After = None, limit: Limit = DEFAULT_LIMIT
) -> Page[Lease]:
    """Return the leases of all backends by backend id and kind, revoked ones too."""

    async def fetch(cursor: str | None, count: int) -> list[store.Lease]:
        return await control.vpn.page(cursor, count, request.user.sight)

    page = await turn(fetch, lambda lease: lease.place, after, limit)
    status = await control.vpn.status()
    return Page([_shown(lease, status) for lease in page.items], page.next)


@get(
    "/vpn/peers",
    operation_id="listPeers",
    summary="Write a server's WireGuard peers",
    tags=[TAG],
    may=can_operate,
    whole=True,
    audits=Action.VPN_PEERS,
    responses=raises(*ADMINISTERING, Problem.REFUSED),
)
async def list_peers(control: Parts, request: AsUser) -> Peers:
    """Return the peer sections of all backends, for a WireGuard server that Quix only looks at."""
    with control.audit.act(request.user, Action.VPN_PEERS):
        peers = await control.vpn.peers()
    log.info("vpn peers shown", user=request.user.name)
    return Peers(peers)


@get(
    "/vpn",
    operation_id="getLease",
    summary="Look at a VPN lease",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING, Problem.LEASE_UNKNOWN),
)
async def get_lease(control: Parts, backend: Named, conf_type: OfType = WIREGUARD) -> Lease:
    """Return the backend's lease, also where it is revoked."""
    return await _find(control, backend.id, conf_type)


@post(
    "/vpn",
    operation_id="configureVpn",
    summary="Make a VPN configuration",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    audits=Action.VPN_CONF,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.REFUSED),
)
async def configure(control: Parts, request: AsUser, backend: Named, data: JSONBody[Wanted]) -> Configuration:
    """Make a configuration for the backend, on the addresses it has or new ones; a revoked lease has to be restored
    first.

    The key pair is new each time, so a configuration that was handed out before ends to work; and so does the tunnel of
    an agent that has a key of its own, until it asks again.
    """
    asked = GetVpnConf(conf_type=data.conf_type, tun_mode=data.tun_mode)
    with control.audit.act(request.user, Action.VPN_CONF, backend.id, conf_type=data.conf_type):
        made = await control.vpn.configuration(backend.id, asked)
    control.events.publish(Kind.LEASE_CHANGED, backend.id, conf_type=made.conf_type, change="configured")
    log.info("vpn configuration made", user=request.user.name, backend=backend.id, conf_type=made.conf_type)
    return Configuration(made.conf_type, made.conf_data)


@post(
    "/vpn/restore",
    operation_id="restoreLease",
    summary="Restore a VPN lease",
    tags=[TAG],
    status_code=200,
    may=can_operate,
    audits=Action.VPN_RESTORE,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING, Problem.LEASE_UNKNOWN),
)
async def restore(control: Parts, request: AsUser, backend: Named, conf_type: OfType = WIREGUARD) -> Lease:
    """Put the backend's revoked lease in force again, with the same addresses; one that is in force stays as it is.

    The backend needs a new configuration, which it gets when it asks for one.
    """
    with control.audit.act(request.user, Action.VPN_RESTORE, backend.id, conf_type=conf_type):
        if await control.vpn.restore(backend.id, conf_type):
            control.events.publish(Kind.LEASE_CHANGED, backend.id, conf_type=conf_type, change="restored")
            log.info("vpn lease restored", user=request.user.name, backend=backend.id, conf_type=conf_type)
        return await _find(control, backend.id, conf_type)


@delete(
    "/vpn",
    operation_id="revokeLease",
    summary="Revoke a VPN lease",
    tags=[TAG],
    may=can_operate,
    audits=Action.VPN_REVOKE,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING, Problem.LEASE_UNKNOWN),
)
async def revoke(control: Parts, request: AsUser, backend: Named, conf_type: OfType = WIREGUARD) -> None:
    """Withdraw the backend's lease, and end its tunnel; it keeps its addresses for when the lease is restored."""
    with control.audit.act(request.user, Action.VPN_REVOKE, backend.id, conf_type=conf_type):
        if not await control.vpn.revoke(backend.id, conf_type):
            raise ProblemError(Problem.LEASE_UNKNOWN, f"The backend has no {conf_type} lease in force.")
    control.events.publish(Kind.LEASE_CHANGED, backend.id, conf_type=conf_type, change="revoked")
    log.info("vpn lease revoked", user=request.user.name, backend=backend.id, conf_type=conf_type)


Change = Literal["up", "down", "rotate"]


@post(
    "/vpn/{change:str}",
    operation_id="changeTunnel",
    summary="Change a backend's tunnel",
    tags=[TAG],
    status_code=204,
    may=can_operate,
    audits=Action.VPN_TUNNEL,
    responses=raises(Problem.REQUEST_INVALID, *OPERATING, *ASKING),
)
async def change_tunnel(
    control: Parts,
    request: AsUser,
    backend: Named,
    change: Annotated[Change, PathParameter(description="up, down, or rotate (its keys).")],
    conf_type: OfType = WIREGUARD,
) -> None:
    """Have the backend's agent bring its tunnel up or down, for good, or make new keys for it.

    For agents that see to tunnels themselves (extension `vpn`); the owner's policy may forbid it.
    """
    event = log.bind(user=request.user.name, backend=backend.id, change=change, conf_type=conf_type)
    with control.audit.act(request.user, Action.VPN_TUNNEL, backend.id, change=change, conf_type=conf_type):
        try:
            await control.vpn.change(backend.id, ChangeVpn(action=change, conf_type=conf_type))
        except AskError as error:
            event.warning("tunnel not changed", reason=error.reason)
            raise
    control.events.publish(Kind.TUNNEL_CHANGED, backend.id, conf_type=conf_type, change=change)
    event.info("tunnel changed")
