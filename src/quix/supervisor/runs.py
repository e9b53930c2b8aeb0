"""The life of runs: from a command to a program, to its end, and to its next start where there is one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from quix.supervisor import command, ending, log, marks, proc, signals, tree
from quix.supervisor.cgroups import Cgroups
from quix.supervisor.fdstore import FdStore, Keeper
from quix.supervisor.guard import Guard
from quix.supervisor.layout import Layout
from quix.supervisor.living import Living
from quix.supervisor.loop import Loop
from quix.supervisor.output import Output
from quix.supervisor.policy import Policy
from quix.supervisor.register import Register
from quix.supervisor.run import Ended, Ports, Run
from quix.supervisor.sandbox import Sandbox
from quix.supervisor.starting import Starter
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import Outcome, RunLimits, RunOptions, RunState

_GRACE: Final = 2.0
"""Seconds between asking a run that takes too long to end, and ending it."""

_AGAIN: Final = 1.0
"""Seconds until something is tried again that a full disk did not allow."""

_TRANSIENT: Final = (Reason.LIMIT_REACHED, Reason.SPAWN_FAILED)
"""Refusals after which a run that is to start again is given another chance."""

_DETAIL: Final = 1000  # characters, as `RunState.detail` has them

_ENDING: Final = ("SIGTERM", "SIGKILL", "SIGINT", "SIGQUIT")
"""Signals that reach the whole tree, and after which a run does not start again."""


class Runs:
    """All runs of one supervisor; every method is quick but for those that kill, which may take three seconds.

    Attributes:
        register: which there are.
        changed: called with the state of a run that has a key, whenever it is another one.
        wrote: called with the id of a run that has written something.
    """

    def __init__(
        self,
        layout: Layout,
        sandbox: Sandbox,
        cgroups: Cgroups,
        owner: Callable[[], Policy],
        store: FdStore,
        loop: Loop,
    ) -> None:
        self.changed: Callable[[RunState], None] = lambda _state: None
        self.wrote: Callable[[str], None] = lambda _run_id: None
        self.boot_id: Final = proc.boot_id()
        self.starter: Final = Starter(layout, sandbox, cgroups, loop)
        self.register: Final = Register(layout.runs, self.starter)
        self._sandbox = sandbox
        self._owner = owner
        self._store = store
        self._loop = loop
        living = self.register.living
        self._guard = Guard(layout.data, cgroups.available, loop, lambda: tuple(living.values()), self.condemn)

    def running(self) -> list[Run]:
        """Return the programs that run, oldest first."""
        self.reap()
        found = self.register.living.values()
        return [living.run for living in found if not (living.adopted and living.has_ended)]

    # -- starting -------------------------------------------------------------------------------

    def start(self, cmd: list[str], options: RunOptions, key: str | None) -> Run:
        """Start a program, as far as the owner allows it; return its run once it has been executed.

        Where the key was used before, nothing is started, and that run is returned.

        Raises:
            Refusal: it was not executed.
        """
        command.encode(cmd)
        known = None if key is None else self.register.find(key)
        if known is not None:
            return _repeated(known, cmd, options)
        policy = self._owner()
        limits = policy.admit(cmd, options).limits
        self.reap()
        if key is not None and self.register.history.is_full:
            raise Refusal(Reason.LIMIT_REACHED, "too many runs have ended that nobody has acknowledged")
        if policy.max_programs is not None and len(self.register) >= policy.max_programs:
            raise Refusal(Reason.LIMIT_REACHED, f"{policy.max_programs} programs run already (max_programs)")
        self.starter.check(cmd, options, policy.ports)
        run = self._plan(cmd, options, limits, policy.ports, key)
        try:
            return self._execute(run)
        except BaseException:
            self.register.forget(run)
            raise

    def _plan(self, cmd: list[str], options: RunOptions, limits: RunLimits, ports: Ports, key: str | None) -> Run:
        """Put the run on the disk: from here on, a successor will look for its program."""
        run_id = key or os.urandom(16).hex()
        run = Run(
            id=run_id,
            keyed=key is not None,
            cmd=cmd,
            options=options,
            limits=limits,
            ports=ports,
            pid=0,
            start=proc.now(),
            boot_id=self.boot_id,
            started_at=time.time(),
            mark=self._mark(),
        )
        try:
            self.register.journal.plan(run)
        except OSError as error:
            raise Refusal(Reason.SPAWN_FAILED, f"its start could not be recorded: {error}") from error
        return run

    def _mark(self) -> int:
        if not self._sandbox.has_marks:
            return 0
        taken = {run.mark for run in self.register.current.values()}
        # Nothing that follows from the key: other supervisors on this machine may have a run of the same.
        while (mark := marks.mark(int.from_bytes(os.urandom(8), "big"))) in taken:
            continue
        return mark

    def _execute(self, run: Run) -> Run:
        kept = self.open_output(run)
        try:
            pid, complete = self.starter.start(run, kept)
        except BaseException:
            if kept is not None:
                kept.drain()
            raise
        # A child stays, as a zombie at least, until it is waited for; so the pid is its own, and is found.
        program = proc.stat(pid)
        start = program.start if program is not None else run.start
        run = run.changed(pid=pid, start=start, proc_id=run.proc_id or pid)
        self.lives(complete(run))
        self.register.note(run)
        return run

    def open_output(self, run: Run) -> Output | None:
        """Return what a run writes to; None where it has no key."""
        return self.register.open_output(run, partial(self._has_written, run.id))

    def lives(self, living: Living) -> None:
        """A program runs."""
        self.register.living[living.run.pid] = living
        self.register.current[living.run.id] = living.run
        if living.output is not None:
            self._store.keep(living)
        if living.feed is not None:
            living.feed.changed = partial(self._store.keep, living)
            living.feed.flush()  # what an earlier supervisor did not pass on any more
        self._guard.watch(living)

    def keep_by(self, keeper: Keeper) -> None:
        """Have somebody keep what the programs have that run, for a supervisor after this one."""
        self._store.add(keeper)
        for living in self.register.living.values():
            if living.output is not None:
                self._store.keep(living)

    def start_again(self, run_id: str) -> None:
        """The next start of a run is due."""
        run = self.register.current.get(run_id)
        if run is None or run.next_start is None:  # it was told to end meanwhile
            return
        run = run.changed(pid=0, start=proc.now(), boot_id=self.boot_id, next_start=None, restarts=run.restarts + 1)
        try:
            policy = self._owner()
            if policy.is_broken:  # which its owner mends, and has denied nothing by it
                self._wait(run, "the policy of this machine cannot be read")
                return
            run = run.changed(limits=policy.admit(run.cmd, run.options).limits, ports=policy.ports, verdict=None)
            self.register.journal.update(run, sync=True)
            run = self._execute(run)
        except OSError as error:
            self._wait(run, f"its start could not be recorded: {error}")
        except Refusal as refusal:
            if refusal.reason in _TRANSIENT:
                self._wait(run, refusal.detail)
            else:
                self._finish(run, Ended(outcome=Outcome.NOT_STARTED, at=time.time(), detail=refusal.detail[:_DETAIL]))
        else:
            self._tell(run)

    def _wait(self, run: Run, why: str, lasted: float = 0) -> None:
        """Have a run start again after a while."""
        seconds = ending.pause(run.pause, lasted)
        log.event("info", "a run starts again", run=run.id, seconds=seconds, why=why)
        run = run.changed(pause=seconds, next_start=time.time() + seconds)
        self.register.note(run)
        self._store.forget(run)
        self._loop.later(seconds, partial(self.start_again, run.id))
        self._tell(run)

    # -- ending ---------------------------------------------------------------------------------

    def reap(self) -> None:
        """Take note of all children that have ended: programs, and what programs that ended left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.register.living:
                self.ended(pid, status)

    def ended(self, pid: int, status: int | None) -> None:
        """A program has ended: what it left behind ends too, and all that was written is kept."""
        living = self.register.living.pop(pid)
        self._end_tree(living)
        run = living.run
        lasted = time.monotonic() - living.since
        living.close()
        self.drained(run, ending.ended(status, living.verdict, run.limits, time.time()), lasted)

    def _end_tree(self, living: Living) -> None:
        run, cgroup = living.run, living.cgroup
        left_something = self._left_something(living)
        try:
            if cgroup is not None:
                living.verdict = living.verdict or cgroup.exceeded()
                if left_something:
                    cgroup.kill()
            if left_something:
                signals.kill(lambda: tree.members(run, proc.table()))
            if cgroup is not None and not cgroup.remove():
                log.event("warning", "a run's control group is still in use", run=run.id)
        except OSError as error:
            log.event("error", "a run's control group could not be removed", run=run.id, error=str(error))

    def _left_something(self, living: Living) -> bool:
        """Whether a tree may be there still. What has lost its parent is a child of the supervisor's."""
        children = proc.children()
        return living.adopted or children is None or bool(set(children) - self.register.living.keys())

    def drained(self, run: Run, end: Ended, lasted: float = 0.0) -> None:
        """A program has ended so; what it wrote is kept, once the disk has room for it, and then it is over."""
        kept = self.register.outputs.get(run.id)
        if kept is not None and not kept.drain():
            self._loop.later(_AGAIN, partial(self.drained, run, end, lasted))
            return
        run = self.register.current[run.id]
        if ending.begins_again(run, end):
            self._wait(run.changed(last=end), end.outcome, lasted)
        else:
            self._finish(run, end)

    def _finish(self, run: Run, end: Ended) -> None:
        if not run.keyed:
            self.register.forget(run)
            return
        run = run.changed(ended=end, next_start=None)
        try:
            self.register.end(run)
        except OSError as error:
            log.event("error", "a run's end could not be recorded; trying again", run=run.id, error=str(error))
            self.register.current[run.id] = run
            self._loop.later(_AGAIN, partial(self._finish, run, end))
        else:
            self._store.forget(run)
            self._tell(run)

    def _tell(self, run: Run) -> None:
        if run.keyed:
            self.changed(self.register.state(run))
            self.wrote(run.id)

    def _has_written(self, run_id: str, total: int) -> None:
        living = self.register.program(run_id)
        if living is not None and living.run.limits.output and total > living.run.limits.output:
            self.condemn(living, Outcome.OUTPUT_LIMIT)
        self.wrote(run_id)

    def condemn(self, living: Living, outcome: Outcome) -> None:
        """End a program that took more than it may; one that takes too long is asked first."""
        if living.verdict is not None or self.register.living.get(living.run.pid) is not living:
            return
        living.verdict = outcome
        self.register.note(living.run.changed(verdict=outcome))
        log.event("info", "a program is ended", run=living.run.id, pid=living.run.pid, why=outcome)
        if outcome is Outcome.TIMEOUT:
            signals.terminate(lambda: tree.members(living.run, proc.table()))
            living.timers.append(self._loop.later(_GRACE, partial(self._kill, living)))
        else:
            self._kill(living)

    def _kill(self, living: Living) -> None:
        run = living.run
        # The program first: it must not see its children die or a fork fail, and end in a way of its own.
        with contextlib.suppress(Refusal, PermissionError):
            signals.send_to_program(living.pidfd, signals.NUMBERS["SIGKILL"])
        try:
            gone = living.cgroup is None or living.cgroup.kill()
        except OSError as error:  # somebody took it away
            log.event("warning", "a run's control group could not be ended", run=run.id, error=str(error))
            gone = True
        if not (signals.kill(lambda: tree.members(run, proc.table())) and gone):
            log.event("warning", "some of a run's processes do not die", run=run.id, pid=run.pid)

    # -- signalling -----------------------------------------------------------------------------

    def signal(self, pid: int, run_id: str | None, mode: str) -> None:
        """Signal a program, named by its pid or its run; with a signal that ends programs, its whole tree.

        Raises:
            Refusal: PID_UNKNOWN or RUN_UNKNOWN where no such program runs.
        """
        self.running()  # so that a program that has just ended is not taken for one that runs
        run = self._named(pid, run_id)
        if mode in _ENDING and run.options.restart != "never":
            run = run.changed(stopped=True)
            self.register.note(run)
        living = self.register.program(run.id)
        if living is None:
            if run.stopped and run.next_start is not None:
                self._finish(run, run.last or Ended(outcome=Outcome.NOT_STARTED, at=time.time()))
        elif mode == "SIGKILL":
            self._kill(living)
        elif mode in _ENDING:
            signals.terminate(lambda: tree.members(run, proc.table()), signals.NUMBERS[mode])
        else:
            signals.send_to_program(living.pidfd, signals.NUMBERS[mode])

    def _named(self, pid: int, run_id: str | None) -> Run:
        if run_id is not None:
            run = self.register.current.get(run_id)
            if run is None or run.ended is not None:
                raise Refusal(Reason.RUN_UNKNOWN, "no run of that id runs")
            return run
        living = self.register.living.get(pid)
        if living is None:
            raise Refusal(Reason.PID_UNKNOWN)
        return living.run


def _repeated(known: Run, cmd: list[str], options: RunOptions) -> Run:
    if (known.cmd, known.options) != (cmd, options):
        raise Refusal(Reason.REQUEST_INVALID, "msg.key: it was used before, for something else")
    if not known.proc_id:
        raise Refusal(Reason.SPAWN_FAILED, "the supervisor ended while it was started; whether it ran is unknown")
    return known
