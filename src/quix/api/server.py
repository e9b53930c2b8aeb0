"""What a machine has to know of this server to enrol, and an operator's tools to know what they talk to."""

from __future__ import annotations

import asyncio

from litestar import get
from msgspec import Struct

from quix import __version__
from quix.api.access import Parts
from quix.api.errors import raises
from quix.api.problems import READING
from quix.server import certificate
from quix.server.accounts import can_read
from quix.server.certificate import tls_files
from quix.server.settings import ServerSettings

TAG = "server"


class ServerFacts(Struct):
    """`listen` is HOST:PORT where agents dial in, by TLS where `tls`; `tls_fingerprint` is what they pin where the
    certificate is the server's own. `vpn` names the kinds that are enabled."""

    version: str
    listen: str
    tls: bool
    tls_fingerprint: str | None
    vpn: list[str]


@get(
    "/server",
    operation_id="getServer",
    summary="Look at the server",
    tags=[TAG],
    may=can_read,
    responses=raises(*READING),
)
async def get_server(control: Parts) -> ServerFacts:
    """Return what this server is, and how machines reach it."""
    return await asyncio.to_thread(_facts, control.settings)


def _facts(settings: ServerSettings) -> ServerFacts:
    files = tls_files(settings)
    return ServerFacts(
        version=__version__,
        listen=settings.listen,
        tls=files is not None,
        tls_fingerprint=certificate.fingerprint_of(files[0]) if files and settings.tls_self_signed else None,
        vpn=[name for name in ("wireguard", "openvpn") if getattr(settings.vpn, name).enabled],
    )
