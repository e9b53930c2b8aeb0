"""What the agent says and asks at the start of a session, in this order, each where the server knows of it."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from quix import logs
from quix.agent.pushes import Pushes
from quix.agent.reports import Reports
from quix.agent.session import Session
from quix.agent.tunnels import Tunnels
from quix.link.outcomes import AskError
from quix.supervisor.policy_file import PolicyFile
from quix.wire.extensions import AGENT, PROCESS, TELEMETRY
from quix.wire.messages import AgentFacts

log = logs.get(__name__)

_TIMEOUT: Final = 30.0
"""Seconds the server has to answer what the agent says of itself."""


class Welcome:
    """Who says it, `policy` and `facts` being what is said first."""

    def __init__(
        self, policy: PolicyFile, facts: AgentFacts, reports: Reports, tunnels: Tunnels, pushes: Pushes
    ) -> None:
        self._policy = policy
        self._facts = facts
        self._reports = reports
        self._tunnels = tunnels
        self._pushes = pushes

    async def say(self, session: Session) -> None:
        """Say all of it; with the extensions `process` and `telemetry` it goes on until it is cancelled."""
        for part in (self._tell_facts, self._tunnels.welcome):
            try:
                await part(session)
            except AskError as error:
                log.warning("not all was said at the start", reason=error.reason, detail=error.detail)
        async with asyncio.TaskGroup() as group:
            if PROCESS in session.connection.peer.extensions:
                group.create_task(self._reports.serve(session))
            if TELEMETRY in session.connection.peer.extensions:
                group.create_task(self._pushes.serve(session))

    async def _tell_facts(self, session: Session) -> None:
        if AGENT in session.connection.peer.extensions:
            shown = msgspec.structs.replace(self._facts, policy=self._policy.current.summary())
            await session.connection.ask(shown, _TIMEOUT)
