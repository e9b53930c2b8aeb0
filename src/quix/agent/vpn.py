"""Asking the server for a VPN configuration and keeping it (seed: "VPN Configuration")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal

from quix import logs
from quix.agent.vpn_conf import objection
from quix.files import write_private
from quix.link.outcomes import AskError
from quix.wire.messages import GetVpnConf, VpnConf

log = logs.get(__name__)

Kind = Literal["wireguard", "openvpn"]

FILES: Final[dict[str, str]] = {"wireguard": "quix0.conf", "openvpn": "quix.ovpn"}
"""The name of the file that each kind is kept in. wg-quick(8) names the interface after it."""


async def fetch(ask: Callable[[GetVpnConf], Awaitable[VpnConf]], kind: Kind, folder: Path) -> Path | None:
    """Ask for a configuration and save it in `folder`, readable by its owner only; return the file.

    None where there is no new one: the server refused, the connection was lost, what came is not to be taken, or the
    disk is full. That is logged and no reason to stop, since the next connection asks again; a configuration
    that was saved before stays.
    """
    try:
        conf = await ask(GetVpnConf(conf_type=kind, tun_mode="udp"))
    except AskError as error:
        log.warning("no VPN configuration", kind=kind, reason=error.reason, detail=error.detail)
        return None
    reason = objection(kind, conf.conf_data) if conf.conf_type == kind else "it is of another kind"
    if reason is not None:
        log.warning("VPN configuration is not taken", kind=kind, detail=reason)
        return None
    path = folder / FILES[kind]
    try:
        await asyncio.to_thread(write_private, path, conf.conf_data.encode())
    except OSError as error:
        log.warning("VPN configuration cannot be saved", kind=kind, path=str(path), error=error.strerror)
        return None
    log.info("VPN configuration saved", kind=kind, path=str(path))
    return path
