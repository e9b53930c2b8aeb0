"""Programs on behalf of the server: execute, view_running, proc_signal (seed: "Process Handling")."""

from __future__ import annotations

from typing import Any, Final, get_args

from quix.agent.processes import ProcessMeter
from quix.link.router import Router
from quix.supervisor.client import SupervisorClient
from quix.supervisor.protocol import SignalMode
from quix.wire.messages import Done, Execute, Executed, Process, ProcSignal, ViewRunning
from quix.wire.reasons import Reason, Refusal

_MODES: Final[dict[str, SignalMode]] = {mode: mode for mode in get_args(SignalMode)}
_MAX_PID: Final = 2**31 - 1


class Programs:
    """Answers the server's requests about programs; they belong to the supervisor, and outlive the agent."""

    def __init__(self, supervisor: SupervisorClient) -> None:
        self._supervisor = supervisor
        self._meter = ProcessMeter()

    def register(self, router: Router[Any]) -> None:
        router.add(Execute, self.execute)
        router.add(ViewRunning, self.view_running)
        router.add(ProcSignal, self.signal)

    async def execute(self, _context: object, request: Execute) -> Executed:
        """Start a program. Raises Refusal as `SupervisorClient.spawn`."""
        run = await self._supervisor.spawn(request.cmd)
        return Executed(run.pid)

    async def view_running(self, _context: object, request: ViewRunning) -> list[Process]:
        """List programs, or with `verb` 2 and above all processes. Raises Refusal(UNAVAILABLE)."""
        return await self._meter.rows(await self._supervisor.runs(), request.verb)

    async def signal(self, _context: object, request: ProcSignal) -> Done:
        """Signal a program. Raises Refusal: MODE_INVALID, PID_UNKNOWN, or UNAVAILABLE without a supervisor."""
        mode = _MODES.get(request.mode)
        if mode is None:
            raise Refusal(Reason.MODE_INVALID)
        if not 0 < request.pid <= _MAX_PID:
            raise Refusal(Reason.PID_UNKNOWN)
        await self._supervisor.signal(request.pid, mode)
        return Done()
