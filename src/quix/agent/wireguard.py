"""The agent's WireGuard tunnel: its own key, the configuration, and the interface.

In its folder are `wireguard.key`, the private key that the server is next asked with, and the configuration that is in
force, a whole file for wg-quick(8) that is named after the interface. The private key is made here and never sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec

from msgspec import UNSET

from quix import logs
from quix.agent import wireguard_conf
from quix.agent.tunnels import Ask, last_configuration
from quix.agent.vpn_conf import objection
from quix.agent.wireguard_conf import WireGuardConf
from quix.agent.wireguard_tunnel import saved
from quix.exits import QuixError
from quix.files import read_private, write_private
from quix.link.outcomes import AskError, RefusedError
from quix.vpn import tools
from quix.vpn.interface import Interface
from quix.vpn.tools import ToolError
from quix.wire.messages import GetVpnConf, GetVpnConfByKey
from quix.wire.reasons import Reason, Refusal

P = ParamSpec("P")

log = logs.get(__name__)

_ENDING: Final = frozenset({Reason.VPN_UNAVAILABLE, Reason.ADDRESSES_EXHAUSTED})
"""Refusals after which the server no longer knows our key."""


class WireGuardTunnel:
    """The tunnel through the interface `name`; `folder` is made where there is none. One call at a time."""

    def __init__(self, folder: Path, name: str, owner: str) -> None:
        self._path = saved(folder, name)
        self._key_path = folder / "wireguard.key"
        self._interface = Interface(name, f"quix agent {owner}")
        self._applied = ""
        self._turn = threading.Lock()

    async def is_up(self) -> bool:
        return bool(self._applied) and await asyncio.to_thread(self._is_whole, wireguard_conf.parse(self._applied))

    @property
    def is_configured(self) -> bool:
        return self._path.exists()

    async def start(self) -> None:
        """Bring the tunnel up as it was last configured.

        Raises:
            Refusal: VPN_UNAVAILABLE, with what is missing.
        """
        text = await last_configuration(self._path)
        if text is not None:
            await self._apply(text)

    async def refresh(self, ask: Ask, *, with_key: bool) -> None:
        """Ask for the configuration, `with_key` for our own key and else as the seed has it, and bring the tunnel up.

        Where the server says that there is none, the tunnel is taken down.

        Raises:
            AskError: the server refused, or the connection was lost.
            Refusal: VPN_UNAVAILABLE; what came is not to be taken, or cannot be brought up. It is kept, where it is
                harmless, for the owner to use.
        """
        try:
            await self._refresh(ask, with_key=with_key)
        except RefusedError as error:
            if not with_key or error.reason != Reason.REQUEST_INVALID:
                raise
            # The key is another backend's: the one that this machine was before it enrolled anew.
            await asyncio.to_thread(self._make_key)
            await self._refresh(ask, with_key=True)

    async def _refresh(self, ask: Ask, *, with_key: bool) -> None:
        private, public = await asyncio.to_thread(self._keys) if with_key else ("", UNSET)
        request = GetVpnConfByKey(conf_type="wireguard", tun_mode="udp", public_key=public)
        try:
            conf = await ask(request if with_key else GetVpnConf(conf_type="wireguard", tun_mode="udp"))
        except RefusedError as error:
            if error.reason in _ENDING:
                await self.stop()
                self._path.unlink(missing_ok=True)
            raise
        reason = objection("wireguard", conf.conf_data) if conf.conf_type == "wireguard" else "it is of another kind"
        if reason is not None:
            raise _not_taken(reason)
        text = _complete(conf.conf_data, private) if with_key else conf.conf_data
        await asyncio.to_thread(self._save, self._path, text)
        await self._apply(text)

    async def rotate(self, ask: Ask) -> None:
        """Have another key pair from now on. Raises as `refresh`; where the server refuses, the key stays."""
        before = await asyncio.to_thread(self._keys)
        await asyncio.to_thread(self._make_key)
        try:
            await self.refresh(ask, with_key=True)
        except RefusedError:
            await asyncio.to_thread(self._save, self._key_path, f"{before[0]}\n")
            raise
        except AskError:
            self._applied = ""  # the server may know the new key alone by now: it has to be asked again
            raise

    async def stop(self) -> None:
        """Take the tunnel down where it is ours."""
        self._applied = ""
        await asyncio.to_thread(self._in_turn, self._take_down)

    # -- in threads -----------------------------------------------------------------------------

    def _keys(self) -> tuple[str, str]:
        """Return our private and public key, made now where there are none."""
        try:
            private = read_private(self._key_path).decode(errors="replace").strip()
        except FileNotFoundError:
            private = self._make_key()
        except (OSError, QuixError) as error:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"{self._key_path.name} cannot be read: {error}") from error
        return private, _wg("pubkey", given=f"{private}\n")

    def _make_key(self) -> str:
        private = _wg("genkey")
        self._save(self._key_path, f"{private}\n")
        return private

    def _save(self, path: Path, text: str) -> None:
        try:
            write_private(path, text.encode())
        except OSError as error:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"{path.name} cannot be saved: {error.strerror}") from error

    async def _apply(self, text: str) -> None:
        try:
            conf = wireguard_conf.parse(text)
        except ValueError as error:
            raise _not_taken(str(error)) from error
        if text == self._applied and await asyncio.to_thread(self._is_whole, conf):
            await asyncio.to_thread(self._in_turn, self._look_up, conf)
            return
        self._applied = ""  # where this fails the tunnel is not what it should be, and it is tried again
        await asyncio.to_thread(self._in_turn, self._bring_up, conf)
        self._applied = text
        addresses = [str(address.ip) for address in conf.addresses]
        log.info("WireGuard tunnel is up", interface=self._interface.name, addresses=addresses)

    def _in_turn(self, work: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        """Work on the interface: a thread that nobody waits for any more may still be at it."""
        with self._turn:
            work(*arguments, **named)

    def _is_whole(self, conf: WireGuardConf) -> bool:
        """Whether the interface is there and up, with its addresses and routes: somebody may have taken some."""
        try:
            return self._interface.exists() and self._interface.has(conf.addresses, conf.routes)
        except ToolError:
            return False  # it has gone meanwhile, or bringing it up says what is wrong

    def _look_up(self, conf: WireGuardConf) -> None:
        """The hosts of endpoints may have other addresses by now."""
        try:
            for public_key, endpoint in conf.endpoints.items():
                self._interface.set_endpoint(public_key, endpoint)
        except ToolError as error:
            log.warning("where the tunnel leads to cannot be looked up", error=str(error))

    def _bring_up(self, conf: WireGuardConf) -> None:
        interface = self._interface
        reason = wireguard_conf.objection(conf, wireguard_conf.networks_besides(interface.name))
        if reason is not None:
            raise _not_taken(reason)
        if lacking := tools.missing("ip", "wg"):
            raise Refusal(Reason.VPN_UNAVAILABLE, f"this backend lacks {lacking}; {self._path} is for you to use")
        try:
            state = interface.state()
            if state == "foreign":
                raise Refusal(
                    Reason.VPN_UNAVAILABLE, f"the interface {interface.name} is another's; choose another vpn_interface"
                )
            if state == "absent":
                log.info("WireGuard interface made", interface=interface.name, driver=interface.make("auto"))
            interface.sync(conf.text)
            interface.bring_up(conf.addresses, conf.routes, conf.mtu)
        except ToolError as error:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"the tunnel cannot be brought up: {error}") from error

    def _take_down(self) -> None:
        try:
            if self._interface.exists() and self._interface.state() == "ours":
                self._interface.remove()
                log.info("WireGuard tunnel is down", interface=self._interface.name)
        except ToolError as error:
            log.warning("WireGuard tunnel not taken down", interface=self._interface.name, error=str(error))


def _complete(text: str, private: str) -> str:
    try:
        return wireguard_conf.with_private_key(text, private)
    except ValueError as error:
        raise _not_taken(str(error)) from error


def _wg(what: str, given: str = "") -> str:
    try:
        return tools.run("wg", what, given=given).strip()
    except ToolError as error:
        raise Refusal(Reason.VPN_UNAVAILABLE, f"this backend has no keys for a tunnel: {error}") from error


def _not_taken(reason: str) -> Refusal:
    return Refusal(Reason.VPN_UNAVAILABLE, f"the server's configuration is not taken: {reason}")
