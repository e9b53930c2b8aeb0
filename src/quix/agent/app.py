"""The agent put together, and run until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final

from quix import files, logs
from quix.agent import facts, manager
from quix.agent import policy as requests
from quix.agent.disks import DiskMeter
from quix.agent.identity import IdentityFile
from quix.agent.openvpn_client import OpenVpnTunnel
from quix.agent.programs import Programs
from quix.agent.pushes import Pushes
from quix.agent.reports import Reports
from quix.agent.sampler import Sampler
from quix.agent.session import Link, Session
from quix.agent.settings import AgentSettings
from quix.agent.telemetry import TelemetrySource
from quix.agent.tunnels import Tunnels
from quix.agent.welcome import Welcome
from quix.agent.wireguard import WireGuardTunnel
from quix.link.router import Router
from quix.supervisor import rlimits
from quix.supervisor.client import SupervisorClient
from quix.supervisor.layout import Layout
from quix.supervisor.policy_file import PolicyFile
from quix.supervisor.settings import SupervisorSettings

log = logs.get(__name__)

_SETTLE: Final = 5.0
"""Seconds that requests of the server may still take when the agent stops."""


async def serve(settings: AgentSettings) -> None:
    """Run the agent until SIGTERM or SIGINT; programs go on after it.

    Raises:
        QuixError: the settings cannot be used, or the server will never take this agent.
    """
    own_facts = facts.collect(settings.name, settings.labels)
    layout = Layout(settings.data_dir.absolute())
    layout.prepare_agent()
    policy = PolicyFile(settings.policy, layout.root, settings.allow, _tell)
    policy.load()
    rlimits.allow_files()
    with files.locked(layout.agent / "agent.lock", "another quix agent uses this data folder"):
        supervisor = await SupervisorClient.start_or_find(
            SupervisorSettings(
                data_dir=layout.root,
                sandbox=settings.sandbox,
                program_user=settings.program_user,
                max_programs=settings.max_programs,
                policy=None if settings.policy is None else settings.policy.absolute(),
                allow=settings.allow,
            )
        )
        programs, reports = Programs(supervisor, settings.max_message), Reports(supervisor)
        router: Router[Session] = Router(requests.gate(policy))
        programs.register(router)
        folder, disks = layout.agent / "vpn", DiskMeter()
        TelemetrySource(folder, disks).register(router)
        wireguard = WireGuardTunnel(folder, settings.vpn_interface, str(layout.root))
        openvpn = OpenVpnTunnel(folder, settings.vpn_interface, settings.vpn_mode)
        tunnels = Tunnels({"wireguard": wireguard, "openvpn": openvpn}, settings.vpn, folder, policy)
        tunnels.register(router)
        pushes = Pushes(
            Sampler(disks, programs.count),
            layout.agent,
            policy,
            own_facts.boot_id,
            fastest=settings.telemetry_fastest,
            capacity=settings.telemetry_keep,
            largest=settings.max_message,
        )
        try:
            welcome = Welcome(policy, own_facts, reports, tunnels, pushes)
            link = Link(settings, IdentityFile(layout.agent), router, welcome.say)
            if not supervisor.is_service:  # whose client says it, once it is there
                log.info("what the sandbox does not hold", not_held=supervisor.sandbox.not_held)
            log.info("starting", server=settings.server, name=settings.name, data_dir=str(layout.root))
            await _until_told(link.run(), tunnels.run(), pushes.run())
        finally:
            manager.tell("STOPPING=1")
            programs.stop_reading()
            await router.settle(_SETTLE)
            await supervisor.close()


def _tell(level: str, sentence: str) -> None:
    getattr(log, level)(sentence)


async def _until_told(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of it; a signal ends it in good order, and an error that waiting does not mend is raised."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    manager.tell("READY=1")
    tasks = [asyncio.create_task(each) for each in (*work, told.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    log.info("stopped; programs go on")
