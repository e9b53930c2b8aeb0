"""Telling the server what became of runs, each end until the server has acknowledged it (extension `process`)."""

from __future__ import annotations

import asyncio
from typing import Final

from quix import logs
from quix.agent.session import Session
from quix.link.outcomes import AskError
from quix.supervisor.client import SupervisorClient
from quix.wire.messages import RunStates
from quix.wire.reasons import Refusal
from quix.wire.runs import RunState

log = logs.get(__name__)

_BATCH: Final = 100
_TIMEOUT: Final = 30.0
_AGAIN: Final = 5.0
"""Seconds until the server is told again what it could not take."""


class Reports:
    """Keeps what the server does not know yet; for each run, its last state alone.

    What is kept here may be lost with the agent: the supervisor has it, and is asked at the start of each session.
    """

    def __init__(self, supervisor: SupervisorClient) -> None:
        self._supervisor = supervisor
        self._untold: dict[str, RunState] = {}
        self._is_due = asyncio.Event()
        self._is_stale = True
        supervisor.told = self._note
        supervisor.returned = self._ask_again

    def _note(self, state: RunState) -> None:
        self._untold[state.run] = state
        self._is_due.set()

    def _ask_again(self) -> None:
        """The supervisor was away: it may not have told all."""
        self._is_stale = True
        self._is_due.set()

    async def serve(self, session: Session) -> None:
        """Tell all that is not acknowledged, and then whatever happens, until cancelled."""
        self._ask_again()
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            if self._is_stale:
                await self._collect()
            while self._untold:
                await self._tell(session)

    async def _collect(self) -> None:
        self._untold.clear()  # what is noted from here on is newer than the answer
        try:
            states = await self._supervisor.states()
        except Refusal as refusal:
            log.warning("the server is not told of runs yet", detail=refusal.detail)
            await asyncio.sleep(_AGAIN)
            self._is_due.set()
            return
        self._is_stale = False
        for state in states:
            self._untold.setdefault(state.run, state)

    async def _tell(self, session: Session) -> None:
        batch = [self._untold.pop(run) for run in [*self._untold][:_BATCH]]
        try:
            await session.connection.ask(RunStates(states=batch), _TIMEOUT)
        except AskError as error:
            for state in batch:
                self._untold.setdefault(state.run, state)  # unless there is a newer one
            if session.connection.is_open:  # else this ends at once, and the next session begins with it
                log.warning("the server did not take what became of runs", reason=error.reason, detail=error.detail)
            await asyncio.sleep(_AGAIN)
            return
        for state in batch:
            if state.state == "ended":
                await self._acknowledge(state.run)

    async def _acknowledge(self, run: str) -> None:
        try:
            await self._supervisor.acknowledge(run)
        except Refusal as refusal:  # the server will be told once more, and says yes again
            log.warning("an acknowledgement was not kept", run=run, detail=refusal.detail)
