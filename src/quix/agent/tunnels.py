"""The agent's tunnels: which are wanted, and having them so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from quix import logs
from quix.agent.session import Session
from quix.exits import QuixError
from quix.files import read_private, write_private
from quix.link.outcomes import AskError, RefusedError
from quix.link.router import Router
from quix.supervisor.policy_file import PolicyFile
from quix.wire.extensions import VPN
from quix.wire.messages import ChangeVpn, Done, Request, VpnConf
from quix.wire.reasons import Reason, Refusal

log = logs.get(__name__)

Ask = Callable[[Request[VpnConf]], Awaitable[VpnConf]]
"""Asks the server; raises an `AskError` where there is no answer."""

_TIMEOUT: Final = 30.0
_LOOK: Final = 10.0
"""Seconds between looks at whether a tunnel that is wanted is up, and asking again where it is not."""


_LONGEST: Final = 600.0
"""Seconds between questions to a server that goes on refusing."""


async def last_configuration(path: Path) -> str | None:
    """Return what a tunnel was last configured with, or None where it never was. Raises Refusal(VPN_UNAVAILABLE)."""
    try:
        return (await asyncio.to_thread(read_private, path)).decode(errors="replace")
    except FileNotFoundError:
        return None
    except (OSError, QuixError) as error:
        raise Refusal(Reason.VPN_UNAVAILABLE, f"{path.name} cannot be read: {error}") from error


class Tunnel(Protocol):
    """A tunnel of one kind. All of its methods but `stop` raise Refusal where this machine cannot do it."""

    async def is_up(self) -> bool:
        """Whether the tunnel is as the configuration that is in force says."""

    @property
    def is_configured(self) -> bool:
        """Whether there is a configuration of before."""

    async def start(self) -> None:
        """Bring the tunnel up as it was last configured; nothing where it never was."""

    async def refresh(self, ask: Ask, *, with_key: bool) -> None:
        """Ask for the configuration (`with_key`: for a key of our own, extension `vpn`) and bring the tunnel up."""

    async def rotate(self, ask: Ask) -> None:
        """Have other keys from now on."""

    async def stop(self) -> None:
        """Take the tunnel down."""


class Refusals:
    """When to ask a server again that refused: each time it says the same after twice as long, up to `_LONGEST`.

    Whatever it refuses is a row of its audit. Times are those of one clock, in seconds.
    """

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None
        self._pause = _LOOK
        self._until = 0.0

    def note(self, error: RefusedError, now: float) -> None:
        said = (error.reason, error.detail)
        self._pause = min(2 * self._pause, _LONGEST) if said == self._last else _LOOK
        self._last, self._until = said, now + self._pause

    def check(self, now: float) -> None:
        """Raises RefusedError, with what the server said, where it is too early to ask again."""
        if self._last is not None and now < self._until:
            raise RefusedError(*self._last)


class Tunnels:
    """The tunnels by kind of VPN. `wanted` is what the settings want; the last word of an operator comes before it."""

    def __init__(
        self,
        tunnels: Mapping[str, Tunnel],
        wanted: str | None,
        folder: Path,
        policy: PolicyFile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tunnels = tunnels
        self._path = folder / "wanted.json"
        self._policy = policy
        self._wanted = {kind: kind == wanted for kind in tunnels} | self._remembered()
        self._session: Session | None = None
        self._lock = asyncio.Lock()
        self._complaints: dict[str, str] = {}
        self._clock = clock
        self._refusals: dict[Tunnel, Refusals] = {}

    def register(self, router: Router[Session]) -> None:
        router.add(ChangeVpn, self._change)

    async def run(self) -> None:
        """Bring up what is wanted as it was last, and keep it so, until cancelled; then take it down."""
        try:
            for kind, tunnel in self._tunnels.items():
                if not self._wanted[kind]:
                    await tunnel.stop()  # an agent that was killed may have left it
            await self._each(lambda tunnel: tunnel.start())
            while True:
                await asyncio.sleep(_LOOK)
                await self._each(self._mend)
        finally:
            for tunnel in self._tunnels.values():
                await tunnel.stop()

    async def welcome(self, session: Session) -> None:
        """A session begins: ask for the configurations of what is wanted.

        A server that does not know keys of ours makes new ones each time, which ends a tunnel that may be up: it is
        asked only where there is nothing yet.
        """
        self._session = session
        self._refusals.clear()
        for kind, tunnel in self._tunnels.items():
            if VPN in session.connection.peer.extensions or session.has_enrolled or not tunnel.is_configured:
                await self._try(kind, lambda tunnel: tunnel.refresh(self._ask, with_key=self._may_have_key))

    async def _mend(self, tunnel: Tunnel) -> None:
        if await tunnel.is_up():
            self._refusals.pop(tunnel, None)
        elif self._session is not None and self._session.connection.is_open and self._may_have_key:
            await self._ask_again(tunnel)
        else:
            await tunnel.start()

    async def _ask_again(self, tunnel: Tunnel) -> None:
        refusals = self._refusals.setdefault(tunnel, Refusals())
        refusals.check(self._clock())
        try:
            await tunnel.refresh(self._ask, with_key=True)
        except RefusedError as error:
            refusals.note(error, self._clock())
            raise

    async def _each(self, work: Callable[[Tunnel], Awaitable[None]]) -> None:
        for kind in self._tunnels:
            await self._try(kind, work)

    async def _try(self, kind: str, work: Callable[[Tunnel], Awaitable[None]]) -> None:
        """Do this with a tunnel that is wanted; what stands in the way is logged, once."""
        tunnel = self._tunnels[kind]
        async with self._lock:
            try:
                if not self._wanted[kind]:
                    return
                self._policy.current.check("vpn")
                await work(tunnel)
            except (AskError, Refusal) as error:
                if isinstance(error, Refusal) and error.reason is Reason.POLICY_DENIED:
                    await tunnel.stop()
                if self._complaints.get(kind) != error.detail:
                    log.warning("no tunnel", kind=kind, reason=error.reason, detail=error.detail)
                self._complaints[kind] = error.detail
            else:
                self._complaints.pop(kind, None)

    # -- what the server asks -------------------------------------------------------------------

    async def _change(self, session: Session, request: ChangeVpn) -> Done:
        self._session = session
        kind, tunnel = request.conf_type, self._tunnels.get(request.conf_type)
        if tunnel is None:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"this agent brings no {kind} tunnel up")
        log.info("told to change the tunnel", kind=kind, action=request.action)
        if request.action == "refresh":
            await self._try(kind, lambda tunnel: tunnel.refresh(self._ask, with_key=True))
            return Done()
        async with self._lock:
            try:
                await self._obey(kind, tunnel, request.action)
            except RefusedError as error:
                known = Reason.__members__.get(error.reason.upper(), Reason.VPN_UNAVAILABLE)
                raise Refusal(known, error.detail) from error
            except AskError as error:
                raise Refusal(Reason.UNAVAILABLE, error.detail) from error
        return Done()

    async def _obey(self, kind: str, tunnel: Tunnel, action: str) -> None:
        if action == "rotate":
            if not self._wanted[kind]:
                raise Refusal(Reason.VPN_UNAVAILABLE, "the tunnel is down, and has no keys in use")
            await tunnel.rotate(self._ask)
            return
        await asyncio.to_thread(self._remember, kind, action == "up")
        if action == "up":
            await tunnel.refresh(self._ask, with_key=True)
        else:
            await tunnel.stop()

    @property
    def _may_have_key(self) -> bool:
        return self._session is not None and VPN in self._session.connection.peer.extensions

    async def _ask(self, request: Request[VpnConf]) -> VpnConf:
        assert self._session is not None
        return await self._session.connection.ask(request, _TIMEOUT)

    # -- what is remembered ---------------------------------------------------------------------

    def _remembered(self) -> dict[str, bool]:
        try:
            said: Any = msgspec.json.decode(self._path.read_bytes(), type=dict[str, bool])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("which tunnels an operator wanted cannot be read", path=str(self._path), error=str(error))
            return {}
        return {kind: wanted for kind, wanted in said.items() if kind in self._tunnels}

    def _remember(self, kind: str, wanted: bool) -> None:
        self._wanted[kind] = wanted
        try:
            write_private(self._path, msgspec.json.encode({**self._remembered(), kind: wanted}))
        except OSError as error:
            raise Refusal(Reason.VPN_UNAVAILABLE, f"{self._path.name} cannot be saved: {error.strerror}") from error
