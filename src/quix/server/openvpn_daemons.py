"""The OpenVPN daemons, and the devices that they read: set up, kept, and taken down with the server."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

from quix import logs
from quix.exits import Exit, QuixError
from quix.server.settings import OpenVpnSettings
from quix.vpn import daemon, forwarding, marks
from quix.vpn.forwarding import Network
from quix.vpn.openvpn import MODES, Mode, Service
from quix.vpn.pool import Pool
from quix.vpn.tools import ToolError
from quix.vpn.tun import Tun

log = logs.get(__name__)

_LOOK: Final = 5.0
"""Seconds between looks at whether the devices are as they should be."""


class Daemons:
    """What `settings` say, by transport. With `daemon` none the folders are made and nothing is run.

    Attributes:
        services: what each daemon is told.
        obstacle: what stands in the way of running them, empty where nothing does.

    Raises:
        QuixError: the settings cannot be used, or the folders not made.
    """

    def __init__(self, settings: OpenVpnSettings, folder: Path) -> None:
        self._settings = settings
        self._are_ours = settings.daemon == "run"
        self._stopping = asyncio.Event()
        self.services = _services(settings, folder)
        self.obstacle = "it is being set up" if self._are_ours else ""
        mark = marks.of_server(folder.parent)
        self._tuns = {mode: Tun(service.interface, mark) for mode, service in self.services.items()}
        self._daemons = [daemon.Daemon(each.conf, inspect=partial(_close, each)) for each in self.services.values()]
        _prepare([folder / "jail", folder / "jail" / "tmp", *(each.clients for each in self.services.values())])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the daemons for as long as the block lasts; their configurations have been written."""
        if not self._are_ours:
            yield
            return
        await self._set_up()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._stopping.set()  # no cancelling: a thread would go on, and make what is removed now
            await watching
            await asyncio.gather(*(each.stop() for each in self._daemons))
            await asyncio.to_thread(self._tear_down)

    async def _watch(self) -> None:
        """Set up again whatever is not as it should be, until the server stops."""
        while not await self._stops_within(_LOOK):
            if self.obstacle:
                await self._set_up()
            elif not await asyncio.to_thread(self._is_whole):
                log.warning("somebody changed the OpenVPN devices; setting them up anew")
                await self._set_up()

    def _is_whole(self) -> bool:
        """Whether the devices are there, and lead packets where they may go and to no other place."""
        try:
            return all(
                tun.is_ours() and forwarding.leads(tun.name, *self._ways(mode)) for mode, tun in self._tuns.items()
            )
        except ToolError:
            return False  # one has gone meanwhile, or setting it up says what is wrong

    async def _stops_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _set_up(self) -> None:
        try:
            await asyncio.to_thread(self._make_devices)
        except ToolError as error:
            if str(error) != self.obstacle:
                log.warning("no OpenVPN; will try again", error=str(error))
            self.obstacle = str(error)
            return
        await asyncio.gather(*(each.start() for each in self._daemons))
        self.obstacle = ""

    def _make_devices(self) -> None:
        if lacking := daemon.missing("ip"):
            raise ToolError(f"the server lacks {lacking}")
        for tun in self._tuns.values():
            tun.make()
        # Before anybody can get in, it is settled who may go where.
        lacks: list[str] = []
        for mode, tun in self._tuns.items():
            lacks += forwarding.lead(tun.name, *self._ways(mode))
        if lacks:
            log.warning("backends on udp and on tcp will not all reach each other", missing="; ".join({*lacks}))

    def _ways(self, mode: Mode) -> tuple[tuple[Network, ...], dict[Network, str]]:
        """Return the networks that packets from a device may go on to through it, and those through the other one."""
        own, other = self.services[mode], self.services["tcp" if mode == "udp" else "udp"]
        if not own.is_hub:
            return (), {}
        besides = (other.pool.network4, other.pool.network6)
        return (own.pool.network4, own.pool.network6), dict.fromkeys(besides, other.interface)

    def _tear_down(self) -> None:
        try:
            for tun in self._tuns.values():
                if tun.is_ours():
                    forwarding.forget(tun.name)
                    tun.remove()
        except ToolError as error:
            log.warning("OpenVPN devices not removed", error=str(error))


def _close(service: Service) -> str | None:
    """Keep everybody else from the management socket, which openvpn leaves open; return why that cannot be done."""
    try:
        service.socket.chmod(0o600)
    except OSError as error:
        return f"{service.socket}: {error.strerror}"
    return None


def _services(settings: OpenVpnSettings, folder: Path) -> dict[Mode, Service]:
    whole = Pool(settings.pool4, settings.pool6, "vpn.openvpn")
    try:
        halves = whole.halves()
    except ValueError as error:
        raise QuixError(f"vpn.openvpn.pool4, pool6: {error}", Exit.CONFIG) from error
    # What is not run by us is run by root: by systemd, or by hand.
    may_change_user = os.geteuid() == 0 or settings.daemon == "none"
    return {
        mode: Service(
            mode=mode,
            port=settings.port(mode),
            interface=settings.device(mode),
            pool=half,
            whole=whole,
            folder=folder,
            jail=folder / "jail",
            unprivileged=("nobody", _group()) if may_change_user else None,
            is_hub=settings.topology == "hub",
        )
        for mode, half in zip(MODES, halves, strict=True)
    }


def _group() -> str:
    """Return the group that goes with the user nobody: distributions differ."""
    names = {group.gr_name for group in grp.getgrall()}
    return "nogroup" if "nogroup" in names else "nobody"


def _prepare(folders: list[Path]) -> None:
    try:
        folders[0].parent.mkdir(mode=0o700, exist_ok=True)
        # The daemons see them from the inside, as nobody; for everybody else the way there is closed.
        for folder in folders:
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
    except OSError as error:
        raise QuixError(f"{error.filename}: {error.strerror}", Exit.CONFIG) from error
