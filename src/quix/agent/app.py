"""The agent put together, and run until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from quix import files, logs
from quix.agent import facts, vpn
from quix.agent.identity import IdentityFile
from quix.agent.programs import Programs
from quix.agent.session import Link, Session
from quix.agent.settings import AgentSettings
from quix.agent.telemetry import TelemetrySource
from quix.link.router import Router
from quix.supervisor.client import SupervisorClient
from quix.supervisor.layout import Layout
from quix.supervisor.settings import SupervisorSettings
from quix.wire.extensions import AGENT
from quix.wire.messages import AgentFacts, GetVpnConf, VpnConf

log = logs.get(__name__)

_SETTLE: Final = 5.0
"""Seconds that requests of the server may still take when the agent stops."""

_SAY_TIMEOUT: Final = 30.0
"""Seconds the server has to answer what the agent says of itself."""


async def serve(settings: AgentSettings) -> None:
    """Run the agent until SIGTERM or SIGINT; programs go on after it.

    Raises:
        QuixError: the settings cannot be used, or the server will never take this agent.
    """
    own_facts = facts.collect(settings.name, settings.labels)
    layout = Layout(settings.data_dir.absolute())
    layout.prepare_agent()
    with files.locked(layout.agent / "agent.lock", "another quix agent uses this data folder"):
        supervisor = await SupervisorClient.start_or_find(
            SupervisorSettings(data_dir=layout.root, sandbox=settings.sandbox, program_user=settings.program_user)
        )
        router = _router(supervisor, TelemetrySource(layout.agent / "vpn"))
        try:
            link = Link(settings, IdentityFile(layout.agent), router, _welcome(settings, layout, own_facts))
            log.info("what the sandbox does not hold", sandbox=settings.sandbox, not_held=supervisor.sandbox.not_held)
            log.info("starting", server=settings.server, name=settings.name, data_dir=str(layout.root))
            await _until_told(link)
        finally:
            await router.settle(_SETTLE)
            await supervisor.close()


def _router(supervisor: SupervisorClient, telemetry: TelemetrySource) -> Router[Session]:
    router: Router[Session] = Router()
    Programs(supervisor).register(router)
    telemetry.register(router)
    return router


def _welcome(settings: AgentSettings, layout: Layout, own_facts: AgentFacts) -> Callable[[Session], Awaitable[None]]:
    async def tell_facts(session: Session) -> None:
        if AGENT in session.connection.peer.extensions:
            await session.connection.ask(own_facts, _SAY_TIMEOUT)

    async def fetch_vpn(session: Session) -> None:
        folder = layout.agent / "vpn"
        # Each configuration that the server makes ends the one before, and with it a tunnel that may be up.
        if settings.vpn is not None and (session.has_enrolled or not (folder / vpn.FILES[settings.vpn]).exists()):

            async def ask(request: GetVpnConf) -> VpnConf:
                return await session.connection.ask(request, _SAY_TIMEOUT)

            await vpn.fetch(ask, settings.vpn, folder)

    async def welcome(session: Session) -> None:
        try:
            await tell_facts(session)
        finally:
            await fetch_vpn(session)

    return welcome


async def _until_told(link: Link) -> None:
    """Run the link; a signal ends it in good order, an error that waiting does not mend is raised."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    running = asyncio.create_task(link.run())
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    results = await asyncio.gather(running, waiting, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    log.info("stopped; programs go on")
