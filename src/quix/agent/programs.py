"""Programs on behalf of the server (seed: "Process Handling"; extension `process`)."""

from __future__ import annotations

import asyncio
from typing import Any, Final, get_args

from msgspec import UNSET, Raw

from quix.agent.processes import ProcessMeter
from quix.link.router import Router
from quix.supervisor.client import SupervisorClient
from quix.supervisor.protocol import Read, Resize, SignalMode, Write
from quix.wire.messages import (
    Done,
    Execute,
    Executed,
    ExecuteRun,
    InputReceived,
    Process,
    ProcSignal,
    ReadOutput,
    ResizeTerminal,
    SignalRun,
    ViewRunning,
    WriteInput,
)
from quix.wire.reasons import Reason, Refusal

_SEED_MODES: Final = ("SIGTERM", "SIGKILL", "SIGHUP")
_MODES: Final[dict[str, SignalMode]] = {mode: mode for mode in get_args(SignalMode)}
_MAX_PID: Final = 2**31 - 1

_UNDER_WAY: Final = 2 * 2**20
"""Bytes of output that may be on their way through the agent at a time, however many read."""

_SMALLEST: Final = 2**15

_SOON: Final = 1.0
"""Seconds that a sample waits to learn how many programs run."""


class Programs:
    """Answers the server's requests about programs; they belong to the supervisor, and outlive the agent."""

    def __init__(self, supervisor: SupervisorClient, largest: int) -> None:
        """`largest`: bytes that a message may have."""
        self._supervisor = supervisor
        self._meter = ProcessMeter(largest)
        self._reads: set[asyncio.Future[Raw]] = set()

    def register(self, router: Router[Any]) -> None:
        router.add(Execute, self.execute)
        router.add(ExecuteRun, self.execute_run)
        router.add(ViewRunning, self.view_running)
        router.add(ProcSignal, self.signal)
        router.add(SignalRun, self.signal_run)
        router.add(ReadOutput, self.read_output)
        router.add(WriteInput, self.write_input)
        router.add(ResizeTerminal, self.resize_terminal)

    async def execute(self, _context: object, request: Execute) -> Executed:
        """Start a program. Raises Refusal as `SupervisorClient.spawn`."""
        run = await self._supervisor.spawn(request.cmd)
        return Executed(run.proc_id)

    async def execute_run(self, _context: object, request: ExecuteRun) -> Executed:
        """Start a run, unless it was started before. Raises Refusal as `SupervisorClient.spawn`."""
        run = await self._supervisor.spawn(request.cmd, request.options, request.key)
        return Executed(run.proc_id)

    async def view_running(self, _context: object, request: ViewRunning) -> list[Process]:
        """List programs, or with `verb` 2 and above all processes. Raises Refusal(UNAVAILABLE)."""
        runs = await self._supervisor.runs()
        # An agent of another user than root sees what processes are, but not which sockets they have.
        ports = await self._supervisor.ports() if self._supervisor.is_service else None
        return await self._meter.rows(runs, request.verb, ports)

    async def count(self) -> int | None:
        """Return how many programs run, or None where the supervisor does not say so soon."""
        try:
            async with asyncio.timeout(_SOON):
                return len(await self._supervisor.runs())
        except (Refusal, TimeoutError):
            return None

    async def signal(self, _context: object, request: ProcSignal) -> Done:
        """Signal a program. Raises Refusal: MODE_INVALID, PID_UNKNOWN, or UNAVAILABLE without a supervisor."""
        if request.mode not in _SEED_MODES:
            raise Refusal(Reason.MODE_INVALID)
        return await self._signal(request.pid, request.mode, None)

    async def signal_run(self, _context: object, request: SignalRun) -> Done:
        """Signal a program or a run. Raises Refusal as `signal`, and RUN_UNKNOWN."""
        return await self._signal(request.pid, request.mode, None if request.run is UNSET else request.run)

    async def _signal(self, pid: int, name: str, run: str | None) -> Done:
        mode = _MODES.get(name)
        if mode is None:
            raise Refusal(Reason.MODE_INVALID)
        if run is None and not 0 < pid <= _MAX_PID:
            raise Refusal(Reason.PID_UNKNOWN)
        await self._supervisor.signal(pid, mode, run)
        return Done()

    # -- input and output -----------------------------------------------------------------------

    async def read_output(self, _context: object, request: ReadOutput) -> Raw:
        """Return a `RunOutput`, as the supervisor has put it. Raises Refusal(RUN_UNKNOWN)."""
        fair = max(_SMALLEST, _UNDER_WAY // (len(self._reads) + 1))
        ask = Read(
            request.run,
            request.stdout,
            request.stderr,
            min(request.limit, fair),
            request.wait,
            request.acknowledge,
            request.unattended,
        )
        read = asyncio.ensure_future(self._supervisor.read(ask))
        self._reads.add(read)
        try:
            await asyncio.wait((read,))
        finally:
            self._reads.discard(read)
        if read.cancelled():
            raise Refusal(Reason.UNAVAILABLE, "the agent is going down; its programs go on")
        return read.result()

    def stop_reading(self) -> None:
        """Answer all reads that wait for output, since the agent ends."""
        for read in self._reads:
            read.cancel()

    async def write_input(self, _context: object, request: WriteInput) -> InputReceived:
        """Give a run input. Raises Refusal(RUN_UNKNOWN), or REQUEST_INVALID where it takes none."""
        ask = Write(request.run, request.offset, request.data, request.end)
        return InputReceived(await self._supervisor.write(ask))

    async def resize_terminal(self, _context: object, request: ResizeTerminal) -> Done:
        """Tell a run's terminal its size. Raises Refusal(RUN_UNKNOWN), or REQUEST_INVALID where it has none."""
        await self._supervisor.resize(Resize(request.run, request.size))
        return Done()
