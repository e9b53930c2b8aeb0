"""Starting, listing and signalling programs on backends, and keeping who asked for it."""

from __future__ import annotations

from quix import logs
from quix.link.outcomes import AskError
from quix.server.fleet import Fleet
from quix.store import Store
from quix.store.runs import Run
from quix.wire.messages import Execute, Process, ProcSignal, ViewRunning

log = logs.get(__name__)


class Programs:
    """What operators do with programs; `user` is the name of whoever asks, and stands in the log with the outcome.

    Every method raises an `AskError` of `quix.link.outcomes` where the backend did not do it.
    """

    def __init__(self, fleet: Fleet, store: Store) -> None:
        self._fleet = fleet
        self._store = store

    async def execute(self, user: str, backend_id: str, cmd: list[str]) -> Run:
        """Start a program and return the run it is; what was started is in the store, whoever loses the answer.

        The log names the program and not its arguments, which may hold secrets.
        """
        event = log.bind(user=user, backend=backend_id, program=cmd[0] if cmd else "", arguments=len(cmd) - 1)
        try:
            started = await self._fleet.ask(backend_id, Execute(cmd=cmd))
        except AskError as error:
            event.warning("execute failed", reason=error.reason)
            raise
        event.info("executed", pid=started.proc_id)
        return await self._store.runs.add(backend_id, cmd, started.proc_id, user)

    async def view_running(self, backend_id: str, verb: int = 1) -> list[Process]:
        """List the programs that Quix started, or with `verb` 2 every process that the agent sees."""
        return await self._fleet.ask(backend_id, ViewRunning(verb=verb))

    async def signal(self, user: str, backend_id: str, pid: int, mode: str) -> None:
        """Send SIGTERM, SIGKILL or SIGHUP to a program that Quix started."""
        event = log.bind(user=user, backend=backend_id, pid=pid, mode=mode)
        try:
            await self._fleet.ask(backend_id, ProcSignal(pid=pid, mode=mode))
        except AskError as error:
            event.warning("signal failed", reason=error.reason)
            raise
        event.info("signalled")
