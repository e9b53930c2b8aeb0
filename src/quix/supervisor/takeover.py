"""Taking over from an earlier supervisor: its programs that still run, and how its other runs ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import partial
from typing import Final

from quix.supervisor import ending, kernel, log, proc, signals, tree
from quix.supervisor.fdstore import FdStore, Left
from quix.supervisor.loop import READ, Loop
from quix.supervisor.output import Output
from quix.supervisor.run import Run
from quix.supervisor.runs import Runs

_REAP_LIMIT: Final = 10.0
_REAP_PAUSE: Final = 0.1
"""How long, and how often, to look for the exit status of somebody else's child: until its parent has taken note."""


class Takeover:
    """Puts the runs of the journal in their place."""

    def __init__(self, runs: Runs, store: FdStore, loop: Loop) -> None:
        self._runs = runs
        self._store = store
        self._register = runs.register
        self._loop = loop

    def run(self) -> None:
        """Take over all that is in the journal. Raises OSError where a file cannot be written."""
        found = list(map(self._complete, self._register.journal.read_all()))
        for run in sorted(found, key=lambda run: (run.start, run.started_at)):
            if run.ended is not None:
                self._register.history.add(run)
            elif run.next_start is not None:
                self._wait(run, run.next_start)
            elif self._may_have_run(run):
                self._take(run)
            else:  # planned, and never executed: its key starts it yet
                self._register.forget(run)
        if found:
            self._runs.starter.sweep({living.run.id for living in self._register.living.values()})
        self._store.settle(self._register.current.values())
        if self._register.living:
            log.event("info", "adopted programs that run", pids=sorted(self._register.living))

    def _complete(self, run: Run) -> Run:
        """Return the run with its program's pid, where the last supervisor was killed before it wrote that down."""
        if run.pid or run.boot_id != self._runs.boot_id or run.ended is not None or run.next_start is not None:
            return run
        program = tree.find_program(run, proc.table())
        if program is None:
            return run
        run = run.changed(pid=program.pid, start=program.start, proc_id=run.proc_id or program.pid)
        self._register.note(run)
        return run

    def _may_have_run(self, run: Run) -> bool:
        """Whether a run's program may have been executed. Where that is unknown, no key may start it once more: its
        pid is not synced to the disk, and it may have ended before anybody looked."""
        is_known = bool(run.pid or run.restarts)
        return is_known or run.boot_id != self._runs.boot_id or self._register.was_executed(run)

    def _wait(self, run: Run, until: float) -> None:
        self._register.current[run.id] = run
        self._runs.open_output(run)
        # By a clock that may have been set meanwhile.
        left = min(ending.LONGEST_PAUSE, max(0.0, until - time.time()))
        self._loop.later(left, partial(self._runs.start_again, run.id))

    def _take(self, run: Run) -> None:
        with contextlib.closing(self._store.take(run)) as left:
            pidfd = self._find(run, left)
            kept = self._runs.open_output(run)
            self._register.current[run.id] = run
            if pidfd is None or _was_reaped(pidfd):
                self._has_ended(run, pidfd, kept, left)
                return
            living = self._runs.starter.adopt(run, pidfd, kept, left)
        self._loop.watch(pidfd, READ, lambda _events: self._ended(run.pid, pidfd))
        self._runs.lives(living)
        if run.verdict is not None:  # the last supervisor may have been killed before the program was
            self._runs.condemn(living, run.verdict)

    def _has_ended(self, run: Run, pidfd: int | None, kept: Output | None, left: Left) -> None:
        """A program ended while there was no supervisor; its pid may be another's by now."""
        status = verdict = None
        if pidfd is not None:
            status = kernel.exit_status(pidfd)
            os.close(pidfd)
        if run.boot_id == self._runs.boot_id:
            verdict = run.verdict or self._runs.starter.exceeded(run)
            signals.kill(lambda: tree.members(run, proc.table()))
            if kept is not None:
                kept.follow_again(left.terminal)
        self._runs.drained(run, ending.ended(status, verdict, run.limits, time.time()))

    def _find(self, run: Run, left: Left) -> int | None:
        """Return the pidfd of a run's program, where it is there, or was kept."""
        if not run.pid or run.boot_id != self._runs.boot_id:
            return None
        if left.pidfd is not None or run.pid in self._register.living:
            pidfd, left.pidfd = left.pidfd, None
            return pidfd
        try:
            pidfd = os.pidfd_open(run.pid)
        except OSError:  # ESRCH; EINVAL where the number is a thread's now
            return None
        found = proc.stat(run.pid)
        if found is not None and found.start == run.start:  # where it is dead, its status is still to be had
            return pidfd
        os.close(pidfd)
        return None

    def _ended(self, pid: int, pidfd: int) -> None:
        self._loop.forget(pidfd)
        self._look_for_status(pid, pidfd, _REAP_LIMIT)

    def _look_for_status(self, pid: int, pidfd: int, left: float) -> None:
        if left > 0 and not _was_reaped(pidfd):
            self._loop.later(_REAP_PAUSE, partial(self._look_for_status, pid, pidfd, left - _REAP_PAUSE))
            return
        self._runs.ended(pid, kernel.exit_status(pidfd))


def _was_reaped(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is there
        return False
    return False
