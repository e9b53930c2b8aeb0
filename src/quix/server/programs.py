"""Starting, listing and signalling programs on backends, and keeping who asked for it."""

from __future__ import annotations

import time
from typing import Final

from quix import logs
from quix.link.outcomes import AskError
from quix.server.fleet import Fleet
from quix.store import Store
from quix.store.errors import NotFoundError, StoreUnavailableError
from quix.store.ids import new_id
from quix.store.runs import Run
from quix.wire.messages import Execute, Process, ProcSignal, ViewRunning

log = logs.get(__name__)

_LONGEST: Final = 200
"""Characters of a program's name that the log takes."""


class Programs:
    """What operators do with programs; `user` is the name of whoever asks, and stands in the log with the outcome.

    Every method raises an `AskError` of `quix.link.outcomes` where the backend did not do it.
    """

    def __init__(self, fleet: Fleet, store: Store) -> None:
        self._fleet = fleet
        self._store = store

    async def execute(self, user: str, backend_id: str, cmd: list[str]) -> Run:
        """Start a program and return the run it is.

        Where the store cannot keep the run, the program runs all the same, and so the answer is a success: to be told
        `unavailable` and ask again would start it twice.

        The log names the program and not its arguments, which may hold secrets.
        """
        event = log.bind(
            user=user, backend=backend_id, program=cmd[0][:_LONGEST] if cmd else "", arguments=len(cmd) - 1
        )
        try:
            started = await self._fleet.ask(backend_id, Execute(cmd=cmd))
        except AskError as error:
            event.warning("execute failed", reason=error.reason)
            raise
        event.info("executed", pid=started.proc_id)
        try:
            return await self._store.runs.add(backend_id, cmd, started.proc_id, user)
        except (StoreUnavailableError, NotFoundError) as error:
            now = time.time()
            run = Run(new_id(now), backend_id, cmd, started.proc_id, user, now)
            event.error("a run is missing in the history", run=run.id, pid=run.proc_id, error=str(error))
            return run

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
