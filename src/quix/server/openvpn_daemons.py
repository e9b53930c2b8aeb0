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
from quix.vpn import daemon, forwarding, management, marks
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
        self._connected: set[tuple[Mode, str]] = set()
        self.services = _services(settings, folder)
        self.obstacle = "it is being set up" if self._are_ours else ""
        mark = marks.of_server(folder.parent)
        self._tuns = {mode: Tun(service.interface, mark) for mode, service in self.services.items()}
        self._daemons = [daemon.Daemon(each.conf, inspect=partial(_close, each)) for each in self.services.values()]
        _prepare([folder / "jail", folder / "jail" / "tmp", *(each.clients for each in self.services.values())])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the daemons for as long as the block lasts; their configurations have been written."""
        if self._are_ours:
            await self._set_up()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._stopping.set()  # no cancelling: a thread would go on, and make what is removed now
            await watching
            if self._are_ours:
                await asyncio.gather(*(each.stop() for each in self._daemons))
                await asyncio.to_thread(self._tear_down)

    async def disconnect(self, mode: Mode, backend_id: str) -> None:
        """End the connections of a backend, whose certificate is void by now; until that is done it is tried again."""
        if not await _disconnected(self.services[mode], backend_id):
            self._connected.add((mode, backend_id))
            log.warning(
                "openvpn does not answer; a backend stays connected until it does", backend=backend_id, mode=mode
            )

    async def _watch(self) -> None:
        """Set up again whatever is not as it should be, and do what could not be done, until the server stops."""
        while not await self._stops_within(_LOOK):
            for mode in MODES:
                await self._disconnect_again(mode)
            if not self._are_ours:
                continue
            if self.obstacle:
                await self._set_up()
            elif not await asyncio.to_thread(self._is_whole):
                log.warning("somebody changed the OpenVPN devices; setting them up anew")
                await self._set_up()

    async def _disconnect_again(self, mode: Mode) -> None:
        for backend_id in [backend for each, backend in self._connected if each == mode]:
            if self._stopping.is_set() or not await _disconnected(self.services[mode], backend_id):
                return  # it answers nobody else either
            self._connected.discard((mode, backend_id))

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


async def _disconnected(service: Service, backend_id: str) -> bool:
    """End the connections of a backend; return whether it is certain that it has none."""
    try:
        if await management.end_client(service.socket, backend_id):
            log.info("openvpn connection ended", backend=backend_id, mode=service.mode)
    except (FileNotFoundError, ConnectionRefusedError):
        # No daemon, so nobody is connected; the next one reads the list before it lets anybody in.
        log.debug("no openvpn is running", mode=service.mode)
    except OSError as error:
        # It did not answer, or hung up on us, or has too many callers: it talks to one at a time.
        log.debug("openvpn does not answer", mode=service.mode, error=str(error))
        return False
    return True


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
