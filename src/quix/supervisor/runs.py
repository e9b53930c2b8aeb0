"""The programs that live: started here, or found when this supervisor took over."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Final

import msgspec
from msgspec import Struct

from quix.supervisor import command, log, marks, proc, signals, tree
from quix.supervisor.journal import Journal
from quix.supervisor.layout import Layout
from quix.supervisor.loop import READ, Loop
from quix.supervisor.protocol import SignalMode
from quix.supervisor.run import Run
from quix.supervisor.sandbox import Sandbox
from quix.supervisor.spawn import Plan, Streams, spawn
from quix.wire.reasons import Reason, Refusal

_SIGNALS: Final[dict[SignalMode, signal.Signals]] = {
    "SIGTERM": signal.SIGTERM,
    "SIGKILL": signal.SIGKILL,
    "SIGHUP": signal.SIGHUP,
}


class Living(Struct):
    """A program that runs. `adopted`: a process of somebody else's, so its end shows on the pidfd alone."""

    run: Run
    pidfd: int
    adopted: bool


class Runs:
    """All programs of one supervisor; every method is quick but for `signal`, which may take three seconds."""

    def __init__(self, layout: Layout, sandbox: Sandbox, max_programs: int, loop: Loop) -> None:
        self._layout = layout
        self._sandbox = sandbox
        self._max_programs = max_programs
        self._loop = loop
        self._journal = Journal(layout.runs)
        self._boot_id = proc.boot_id()
        self._living: dict[int, Living] = {}
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._streams = Streams(stdin=null, stdout=null, stderr=null)

    def __len__(self) -> int:
        return len(self._living)

    # -- starting -------------------------------------------------------------------------------

    def start(self, cmd: list[str], title: str) -> Run:
        """Start a program; return its run once it has been executed.

        Raises:
            Refusal: it was not executed.
        """
        argv = command.encode(cmd)
        if len(self.list()) >= self._max_programs:
            raise Refusal(Reason.LIMIT_REACHED, f"{self._max_programs} programs run already (max_programs)")
        self._sandbox.check()
        executable = command.resolve(argv[0])
        reserve = self._reserve()
        try:
            run = self._plan(cmd, title)
            pid = self._spawn(run, executable, argv)
        finally:
            os.close(reserve)
        return self._started(run, pid)

    def _spawn(self, run: Run, executable: bytes, argv: list[bytes]) -> int:
        plan = Plan(
            executable=executable,
            argv=argv,
            env=self._environment(run.id),
            folder=str(self._layout.data),
            streams=self._streams,
            groups=[run.mark] if run.mark else [],
        )
        try:
            return spawn(plan, self._sandbox)
        except BaseException:
            self._journal.remove(run.id)
            raise

    def _reserve(self) -> int:
        """Hold a descriptor for the pidfd: that none is left should show before the program runs, not after."""
        try:
            return os.dup(self._streams.stdin)
        except OSError as error:
            raise Refusal(Reason.LIMIT_REACHED, "the supervisor has as many files open as it may") from error

    def _plan(self, cmd: list[str], title: str) -> Run:
        """Put the run on the disk: from here on, a successor will look for its program."""
        run_id = os.urandom(16).hex()
        run = Run(
            id=run_id,
            cmd=cmd,
            pid=0,
            start=proc.now(),
            boot_id=self._boot_id,
            title=title,
            started_at=time.time(),
            mark=marks.mark(run_id) if self._sandbox.has_marks else 0,
        )
        try:
            self._journal.plan(run)
        except OSError as error:
            raise Refusal(Reason.SPAWN_FAILED, f"its start could not be recorded: {error}") from error
        return run

    def _started(self, planned: Run, pid: int) -> Run:
        # A child stays, as a zombie at least, until it is waited for; so the pid is its own, and is found.
        pidfd = os.pidfd_open(pid)
        program = proc.stat(pid)
        run = msgspec.structs.replace(planned, pid=pid, start=program.start if program is not None else planned.start)
        self._living[pid] = Living(run, pidfd, adopted=False)
        try:
            self._journal.started(run)
        except OSError as error:  # the plan is there, and finds it
            log.event("warning", "a program's pid could not be recorded", pid=pid, error=str(error))
        return run

    def _environment(self, run_id: str) -> dict[str, str]:
        data = self._layout.data
        return {
            "PATH": ":".join(command.PATH),
            "HOME": str(data),
            "TMPDIR": str(data / "tmp"),
            "LANG": "C.UTF-8",
            tree.RUN_ID: run_id,
        }

    # -- knowing --------------------------------------------------------------------------------

    def adopt(self) -> None:
        """Find the programs that an earlier supervisor started and that still run; forget those that have ended."""
        for run in sorted(map(self._complete, self._journal.read_all()), key=lambda run: (run.start, run.started_at)):
            pidfd = self._find(run)
            if pidfd is None:
                self._journal.remove(run.id)
            else:
                self._living[run.pid] = Living(run, pidfd, adopted=True)
                self._loop.watch(pidfd, READ, lambda _events, pid=run.pid: self._ended(pid))  # type: ignore[misc]
        if self._living:
            log.event("info", "adopted programs that run", pids=sorted(self._living))

    def _complete(self, run: Run) -> Run:
        """Return the run with its program's pid, where the last supervisor was killed before it wrote that down."""
        if run.pid or run.boot_id != self._boot_id:
            return run
        program = tree.find_program(run, proc.table())
        if program is None:
            return run
        run = msgspec.structs.replace(run, pid=program.pid, start=program.start)
        self._journal.started(run)
        return run

    def _find(self, run: Run) -> int | None:
        if not run.pid or run.boot_id != self._boot_id or run.pid in self._living:
            return None
        try:
            pidfd = os.pidfd_open(run.pid)
        except OSError:  # ESRCH; EINVAL where the number is a thread's now
            return None
        found = proc.stat(run.pid)
        if found is not None and found.start == run.start and not found.is_dead:
            return pidfd
        os.close(pidfd)
        return None

    def list(self) -> list[Run]:
        """Return the programs that run, oldest first."""
        self.reap()
        for living in tuple(self._living.values()):
            if living.adopted and _has_ended(living.pidfd):
                self._ended(living.run.pid)
        return [living.run for living in self._living.values()]

    def reap(self) -> None:
        """Take note of all children that have ended: programs, and what programs that ended left behind."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._living:
                self._ended(pid)

    def _ended(self, pid: int) -> None:
        living = self._living.pop(pid)
        if living.adopted:
            self._loop.forget(living.pidfd)
        os.close(living.pidfd)
        self._journal.remove(living.run.id)

    # -- signalling -----------------------------------------------------------------------------

    def signal(self, pid: int, mode: SignalMode) -> None:
        """Signal a program; with SIGTERM and SIGKILL, its whole tree.

        Raises:
            Refusal: PID_UNKNOWN where no program of that pid runs.
        """
        self.list()  # so that a program that has just ended is not taken for one that runs
        living = self._living.get(pid)
        if living is None:
            raise Refusal(Reason.PID_UNKNOWN)
        run = living.run
        if mode == "SIGTERM":
            signals.terminate(lambda: tree.members(run, proc.table()))
        elif mode == "SIGKILL":
            if not signals.kill(lambda: tree.members(run, proc.table())):
                log.event("warning", "some of a run's processes do not die", run=run.id, pid=pid)
        else:
            try:
                signal.pidfd_send_signal(living.pidfd, _SIGNALS[mode])
            except ProcessLookupError as error:
                raise Refusal(Reason.PID_UNKNOWN) from error


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
