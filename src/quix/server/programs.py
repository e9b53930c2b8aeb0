"""Starting, listing and signalling programs on backends, and keeping who asked for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quix import logs
from quix.link.outcomes import (
    AnswerInvalidError,
    AskError,
    BackendOfflineError,
    ConnectionLostError,
    RefusedError,
    RequestTimeoutError,
    TooBusyError,
)
from quix.server.audit import Act
from quix.server.events import Hub, Kind
from quix.server.fleet import Fleet
from quix.server.session import Session
from quix.store import Store
from quix.store.errors import AlreadyExistsError, StoreUnavailableError
from quix.store.runs import Run, State
from quix.wire.extensions import PROCESS
from quix.wire.messages import (
    Done,
    Execute,
    Executed,
    ExecuteRun,
    Process,
    ProcSignal,
    ReadOutput,
    RunStates,
    SignalRun,
    ViewRunning,
)
from quix.wire.reasons import Reason
from quix.wire.runs import DEFAULT_KEEP, Outcome, RunOptions, RunState

log = logs.get(__name__)

_LONGEST: Final = 200
"""Characters of a program's name that the log takes."""

_PAUSE: Final = 0.05

_SETTLED_AT_ONCE: Final = 100
"""Runs of one backend."""


class Programs:
    """What operators do with programs; `act` says who asks, and is told which run it is about.

    Every method raises an `AskError` of `quix.link.outcomes` where the backend did not do it.
    """

    def __init__(self, fleet: Fleet, store: Store, hub: Hub, patience: float) -> None:
        """`patience`: seconds that a backend whose connection was lost has to come back and be asked again."""
        self._fleet = fleet
        self._store = store
        self._hub = hub
        self._patience = patience

    def keeps_runs(self, backend_id: str) -> bool:
        """Whether a backend is connected, and its agent knows runs, and not only programs."""
        session = self._fleet.session(backend_id)
        return session is not None and PROCESS in session.extensions

    # -- starting -------------------------------------------------------------------------------

    async def execute(
        self,
        act: Act,
        backend_id: str,
        cmd: list[str],
        options: RunOptions = RunOptions(),  # noqa: B008 - frozen
        request_key: str | None = None,
    ) -> Run:
        """Start a program and return the run it is.

        With an agent that keeps runs it is started once, whatever happens on the way: where the connection is lost the
        same run is asked for again. A `request_key` that this user has used before gives the run of that time.

        Raises:
            AskError: it was not started; after `timeout` or `connection_lost` it may have been, and the history of runs
                will tell, where the agent keeps them.
            AlreadyExistsError: the key was used for something else.
            StoreUnavailableError: the run cannot be kept, and was not started.
        """
        if self._fleet.session(backend_id) is None:
            raise BackendOfflineError
        if not self.keeps_runs(backend_id):
            _require_plain(options)
        run = self._store.runs.new(backend_id, cmd, options, act.user)
        act.about(run.id)
        try:
            await self._store.runs.add(run, request_key, act.asked())
        except AlreadyExistsError:
            assert request_key is not None
            return await self._repeat(run, options, request_key, act)
        return await self._start(run, options)

    async def _repeat(self, asked: Run, options: RunOptions, request_key: str, act: Act) -> Run:
        known = await self._store.runs.requested(asked.started_by, request_key)
        act.about(known.id if known is not None else "")
        if known is None or _content(known) != _content(asked):
            raise AlreadyExistsError(f"a run of the key {request_key}, for something else,")
        if known.state == "refused":
            raise RefusedError(known.outcome or Reason.SPAWN_FAILED, known.detail)
        if known.state == "starting" and self.keeps_runs(known.backend_id):
            return await self._start(known, options, was_sent=True)
        if not known.proc_id:  # to be asked twice would mean two programs, there
            raise RequestTimeoutError(f"It was asked for before; whether it was started is unknown (run {known.id}).")
        return known

    async def _start(self, run: Run, options: RunOptions, *, was_sent: bool = False) -> Run:
        event = _event(run)
        is_tracked = self.keeps_runs(run.backend_id)
        try:
            if is_tracked:
                asked = ExecuteRun(cmd=run.cmd, key=run.id, options=options)
                started = await self._insist(run.backend_id, asked, was_sent=was_sent)
            else:
                started = await self._fleet.ask(run.backend_id, Execute(cmd=run.cmd))
        except AskError as error:
            event.warning("execute failed", reason=error.reason)
            await self._note_failure(run, error, is_tracked=is_tracked)
            raise
        event.info("executed", pid=started.proc_id)
        started_by, pid = run.started_by, started.proc_id
        self._hub.publish(Kind.RUN_STARTED, run.backend_id, run=run.id, proc_id=pid, started_by=started_by)
        state: State = "running" if is_tracked else "untracked"
        note = self._store.runs.started if is_tracked else self._store.runs.untracked
        try:
            await note(run.id, started.proc_id)
        except StoreUnavailableError as error:  # it runs, and to say anything else would have it started twice
            event.warning("that a run has started is not recorded", error=str(error))
        return msgspec.structs.replace(run, proc_id=started.proc_id, state=state)

    async def _insist(self, backend_id: str, request: ExecuteRun, *, was_sent: bool) -> Executed:
        """Ask for a run, and again where the connection is lost: its key makes sure that it starts once. Once it
        `was_sent`, that a backend is away says no longer that nothing was started."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await self._fleet.ask(backend_id, request)
            except ConnectionLostError:
                was_sent = True
            except (BackendOfflineError, TooBusyError):
                if not was_sent:
                    raise
                await asyncio.sleep(_PAUSE)  # its session is on its way out
            left = deadline - time.monotonic()
            if left <= 0 or not await self._fleet.returned(backend_id, left) or not self.keeps_runs(backend_id):
                raise ConnectionLostError

    async def _note_failure(self, run: Run, error: AskError, *, is_tracked: bool) -> None:
        """Keep why a run was not started; one of which that is not certain is left for its backend to tell of."""
        try:
            if isinstance(error, RefusedError | BackendOfflineError | TooBusyError):
                await self._store.runs.refused(run.id, error.reason, error.detail)
                self._hub.publish(
                    Kind.RUN_ENDED, run.backend_id, run=run.id, state="refused", outcome=error.reason,
                    exit_code=None, exit_signal=None,
                )  # fmt: skip
            elif not is_tracked:
                await self._store.runs.untracked(run.id, 0, error.reason)
        except StoreUnavailableError as failure:
            log.warning("why a run was not started is not recorded", run=run.id, error=str(failure))

    # -- knowing --------------------------------------------------------------------------------

    async def view_running(self, backend_id: str, verb: int = 1) -> list[Process]:
        """List the programs that Quix started, or with `verb` 2 every process that the agent sees."""
        return await self._fleet.ask(backend_id, ViewRunning(verb=verb))

    async def told(self, session: Session, request: RunStates) -> Done:
        """Answer an agent that says what became of runs: what is answered is on the disk. What it says of others' runs,
        or of one that has ended, is dropped in silence."""
        for state in await self._store.runs.tell(session.backend_id, request.states):
            self._publish(session.backend_id, state)
            if state.state == "ended":
                log.info(
                    "run ended",
                    backend=session.backend_id,
                    run=state.run,
                    outcome=state.outcome,
                    exit_code=state.exit_code,
                    exit_signal=state.exit_signal,
                )
        return Done()

    def _publish(self, backend_id: str, state: RunState) -> None:
        if state.state != "ended":
            self._hub.publish(Kind.RUN_CHANGED, backend_id, run=state.run, state=state.state)
            return
        self._hub.publish(
            Kind.RUN_ENDED,
            backend_id,
            run=state.run,
            state=state.state,
            outcome=state.outcome,
            exit_code=state.exit_code,
            exit_signal=state.exit_signal,
        )

    async def settle(self) -> None:
        """Find out what became of runs of which it is not known whether they have started, where the backend is here.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        before = time.time() - 2 * self._patience
        for backend_id in await self._store.runs.unsettled(before):
            if self.keeps_runs(backend_id):
                await self._settle(await self._store.runs.starting(backend_id, before, _SETTLED_AT_ONCE))

    async def _settle(self, runs: Sequence[Run]) -> None:
        """Settle runs of one backend; where it does not answer, other backends have their turn."""
        for run in runs:
            try:
                found = await self._fleet.ask(run.backend_id, ReadOutput(run=run.id, limit=1))
            except RefusedError as error:
                if error.reason == Reason.RUN_UNKNOWN:
                    await self._store.runs.refused(run.id, Outcome.NOT_STARTED, "it never reached the backend")
            except AskError as error:
                log.info("a run is still not accounted for", run=run.id, reason=error.reason)
                if not isinstance(error, AnswerInvalidError):
                    return
            else:
                for state in await self._store.runs.tell(run.backend_id, [found.state]):
                    self._publish(run.backend_id, state)

    # -- signalling -----------------------------------------------------------------------------

    async def signal(self, user: str, backend_id: str, pid: int, mode: str) -> None:
        """Signal a program that Quix started; every agent knows SIGTERM, SIGKILL and SIGHUP."""
        keeps = self.keeps_runs(backend_id)
        await self._signal(user, backend_id, SignalRun(pid=pid, mode=mode) if keeps else ProcSignal(pid=pid, mode=mode))

    async def signal_run(self, user: str, backend_id: str, run_id: str, mode: str) -> None:
        """Signal the program of a run, also while its next start is waited for."""
        self.require_runs(backend_id)
        await self._signal(user, backend_id, SignalRun(run=run_id, mode=mode))

    async def _signal(self, user: str, backend_id: str, request: SignalRun | ProcSignal) -> None:
        named = {"run": request.run} if isinstance(request, SignalRun) and request.run else {"pid": request.pid}
        event = log.bind(user=user, backend=backend_id, mode=request.mode, **named)
        try:
            await self._fleet.ask(backend_id, request)
        except AskError as error:
            event.warning("signal failed", reason=error.reason)
            raise
        event.info("signalled")

    def require_runs(self, backend_id: str) -> None:
        """Raise an AskError unless the backend is connected and keeps runs."""
        if self._fleet.session(backend_id) is None:
            raise BackendOfflineError
        if not self.keeps_runs(backend_id):
            raise RefusedError(Reason.REQUEST_UNKNOWN, "the agent of this backend keeps no runs (extension process)")


def _require_plain(options: RunOptions) -> None:
    """Raise RefusedError where an agent that knows the seed's page alone cannot do what was asked for."""
    # What only says how output is kept can be left out: none is.
    if msgspec.structs.replace(options, keep=DEFAULT_KEEP, overflow="drop") != RunOptions():
        raise RefusedError(
            Reason.REQUEST_UNKNOWN, "the agent of this backend takes a command and no options (extension process)"
        )


def _content(run: Run) -> tuple[str, list[str], RunOptions]:
    return run.backend_id, run.cmd, run.options


def _event(run: Run) -> Any:
    """The log names the program and not its arguments, which may hold secrets."""
    return log.bind(
        user=run.started_by,
        backend=run.backend_id,
        run=run.id,
        program=run.cmd[0][:_LONGEST] if run.cmd else "",
        arguments=len(run.cmd) - 1,
    )
