"""What a server that was killed left behind, and that this one, with other settings, does not take over."""

from __future__ import annotations

from pathlib import Path

from quix import logs
from quix.server.settings import VpnSettings
from quix.vpn import daemon, forwarding, marks
from quix.vpn.interface import Interface
from quix.vpn.openvpn import MODES
from quix.vpn.tools import ToolError

log = logs.get(__name__)


def remove(settings: VpnSettings, data_dir: Path) -> None:
    """Remove the interfaces that are ours by their mark and that `settings` do not want. Blocks.

    Else their peers would stay connected, and nobody could end that: what is revoked is ended where we see to it.
    """
    mark = marks.of_server(data_dir)
    left = sorted({*marks.bearing(mark)} - _wanted(settings))
    if any(name.endswith(tuple(f"-{mode}" for mode in MODES)) for name in left):
        for mode in MODES:
            daemon.end_strays(data_dir.absolute() / "openvpn" / f"{mode}.conf")
    for name in left:
        try:
            forwarding.forget(name)
            Interface(name, mark).remove()
        except ToolError as error:
            log.warning("an interface that was left behind is not removed", interface=name, error=str(error))
        else:
            log.info("removed an interface that was left behind", interface=name)


def _wanted(settings: VpnSettings) -> set[str]:
    wireguard, openvpn = settings.wireguard, settings.openvpn
    wanted = {wireguard.interface} if wireguard.enabled and wireguard.device != "none" else set()
    if openvpn.enabled and openvpn.daemon == "run":
        wanted |= {openvpn.device(mode) for mode in MODES}
    return wanted
