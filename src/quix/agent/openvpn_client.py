"""The agent's OpenVPN tunnel: a profile of the server's, and Debian's openvpn running with it.

The profile is in the agent's folder, a whole file for openvpn(8) that is named after the interface, and holds a
private key. What a server would have openvpn do besides is not done: it runs no script, and takes no routes but the
profile's.
"""

from __future__ import annotations

import asyncio
import grp
import os
import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_interface
from pathlib import Path
from typing import Final, Literal

import psutil
from msgspec import UNSET

from quix import logs
from quix.agent import openvpn_conf
from quix.agent.openvpn_conf import Network
from quix.agent.tunnels import Ask, last_configuration
from quix.agent.vpn_conf import objection
from quix.agent.wireguard_conf import networks_besides, objection_to
from quix.exits import QuixError
from quix.files import read_private, write_private
from quix.link.outcomes import AskError, RefusedError
from quix.vpn import daemon, tools
from quix.wire.messages import GetVpnConf, GetVpnConfByKey, VpnConf
from quix.wire.reasons import Reason, Refusal

log = logs.get(__name__)

_ENDING: Final = frozenset({Reason.VPN_UNAVAILABLE, Reason.ADDRESSES_EXHAUSTED})
"""Refusals after which our certificate is worth nothing."""


def saved(folder: Path, name: str) -> Path:
    """Return where the profile of the interface `name` is kept."""
    return folder / f"{name}.ovpn"


class OpenVpnTunnel:
    """The tunnel through the interface `name`, in udp or tcp; `folder` is made where there is none. One call at a time.

    Once it is brought up openvpn itself sees to it that it stays so.
    """

    def __init__(self, folder: Path, name: str, mode: Literal["udp", "tcp"]) -> None:
        self._path = saved(folder, name)
        self._name = name
        self._mode = mode
        self._applied = ""
        self._daemon = daemon.Daemon(self._path, partial(_options, name), self._inspect)

    async def is_up(self) -> bool:
        return bool(self._applied) and self._daemon.is_wanted

    @property
    def is_configured(self) -> bool:
        return self._held() is not None

    async def start(self) -> None:
        """Bring the tunnel up as it was last configured; nothing where it never was.

        Raises:
            Refusal: VPN_UNAVAILABLE, with what is missing.
        """
        text = await last_configuration(self._path)
        if text is not None:
            await self._apply(text)

    async def refresh(self, ask: Ask, *, with_key: bool) -> None:
        """Ask for the profile, `with_key` for one that goes with the certificate that we hold, and bring the tunnel up.

        Where the server says that there is none, the tunnel is taken down.

        Raises:
            AskError: the server refused, or the connection was lost.
            Refusal: VPN_UNAVAILABLE; what came is not to be taken, or cannot be brought up. It is kept, where it is
                harmless, for the owner to use.
        """
        held = await asyncio.to_thread(self._held) if with_key else None
        public_key = UNSET if held is None else openvpn_conf.fingerprint(held) or UNSET
        request = GetVpnConfByKey(conf_type="openvpn", tun_mode=self._mode, public_key=public_key)
        try:
            conf = await ask(request if with_key else GetVpnConf(conf_type="openvpn", tun_mode=self._mode))
        except RefusedError as error:
            if error.reason in _ENDING:
                await self.stop()
                self._path.unlink(missing_ok=True)
            raise
        await self._take(conf, held or "")

    async def rotate(self, ask: Ask) -> None:
        """Have another certificate from now on. Raises as `refresh`."""
        try:
            conf = await ask(GetVpnConfByKey(conf_type="openvpn", tun_mode=self._mode))
        except RefusedError:
            raise
        except AskError:
            self._applied = ""  # the server may have withdrawn our certificate by now: it has to be asked again
            raise
        await self._take(conf, "")

    async def stop(self) -> None:
        """End openvpn, and with it the tunnel."""
        self._applied = ""
        await self._daemon.stop()

    # -- profiles -------------------------------------------------------------------------------

    def _held(self) -> str | None:
        """Return the profile that we have, None where there is none or it is for another transport."""
        try:
            text = read_private(self._path).decode(errors="replace")
        except (OSError, QuixError):
            return None  # whoever needs it says so; who asks for another is told nothing new
        return text if openvpn_conf.mode(text) == self._mode else None

    async def _take(self, conf: VpnConf, held: str) -> None:
        if conf.conf_type != "openvpn":
            raise _not_taken("it is of another kind")
        # What came is looked at before anything is done with it, and `_apply` looks at all of it.
        if reason := objection("openvpn", conf.conf_data):
            raise _not_taken(reason)
        text = openvpn_conf.completed(conf.conf_data, held)
        try:
            await asyncio.to_thread(write_private, self._path, text.encode())
        except OSError as error:
            raise _unavailable(f"{self._path.name} cannot be saved: {error.strerror}") from error
        await self._apply(text)

    async def _apply(self, text: str) -> None:
        if text == self._applied and self._daemon.is_wanted:
            return
        self._applied = ""  # where this fails the tunnel is not what it should be, and it is tried again
        if reason := objection("openvpn", text) or _astray(text, self._name):
            raise _not_taken(reason)
        if lacking := daemon.missing():
            raise _unavailable(f"this backend lacks {lacking}; {self._path} is for you to use")
        if not self._daemon.is_wanted:
            await self._daemon.stop()  # one of an agent that was killed
            if self._name in psutil.net_if_stats():
                raise _unavailable(f"the interface {self._name} is another's; choose another vpn_interface")
        await self._daemon.start()
        self._applied = text

    def _inspect(self) -> str | None:
        """Return why the tunnel that just came up is to be ended, or None: the addresses are the server's choice."""
        own: list[Network] = []
        for each in psutil.net_if_addrs().get(self._name, ()):
            if each.family in (socket.AF_INET, socket.AF_INET6) and each.netmask:
                bits = int(ip_interface(each.netmask).ip).bit_count()
                own.append(ip_interface(f"{each.address.partition('%')[0]}/{bits}").network)
        return objection_to([each for each in own if not each.is_link_local], networks_besides(self._name))


def _astray(profile: str, name: str) -> str | None:
    try:
        return objection_to(openvpn_conf.networks(profile), networks_besides(name))
    except ValueError as error:
        return str(error)


def _options(name: str) -> Sequence[str]:
    """Return what openvpn is told besides the profile; what is said later counts."""
    options = ["--dev", name, "--dev-type", "tun", "--script-security", "0", "--route-nopull"]
    if not tools.has_ipv6():
        # openvpn ends where it cannot do all that the server says.
        options += ["--pull-filter", "ignore", "ifconfig-ipv6"]
    if os.geteuid() == 0:
        names = {group.gr_name for group in grp.getgrall()}
        group = "nogroup" if "nogroup" in names else "nobody"
        options += ["--user", "nobody", "--group", group, "--persist-key", "--persist-tun"]
    return [*options, "--suppress-timestamps"]


def _unavailable(detail: str) -> Refusal:
    return Refusal(Reason.VPN_UNAVAILABLE, detail)


def _not_taken(reason: str) -> Refusal:
    return _unavailable(f"the server's configuration is not taken: {reason}")
