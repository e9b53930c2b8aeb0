"""From a plan to a program: put the sandbox on, and execute.

In Linux, credentials, Landlock domains and no_new_privs belong to a thread, not to a process (credentials(7),
landlock(7), prctl(2)). So a thread that lives for one start gives up everything that the program must not have; what it
then spawns inherits that, and the rest of the supervisor keeps what it had. That spares the fork: a child made by fork
first copies the page tables and then each page that it touches, and from Python that costs more than all the rest.
posix_spawn copies nothing (clone(2), CLONE_VFORK).

Until the exec, that thread and its child share the supervisor's memory while they bear the programs' uid. What other
programs of that uid could do to them in this moment, they must be denied. The saved uid stays root's, so nobody may
trace them or set their limits (ptrace(2), prlimit(2): all three uids must be the caller's). The Landlock domain keeps
signals out; where the kernel cannot do that, a signal to the thread would end the supervisor, and so a forked child
takes the thread's place. The exec itself ends all of it: it copies the effective uid to the saved one, and leaves a
process without root's uid no capability (execve(2), capabilities(7)).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import threading
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct

from quix.supervisor import command, kernel, rlimits
from quix.supervisor.cgroup import Cgroup
from quix.supervisor.run import Ports
from quix.supervisor.sandbox import Sandbox
from quix.wire.reasons import Reason, Refusal

_SCARCE: Final = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_NOT_EXECUTED: Final = 127


class Streams(Struct, frozen=True):
    """The descriptors that become a program's standard input, output and error; each above 2.

    Where there is a `terminal`, that is opened by its name in their place, and controls the program's session.
    """

    stdin: int
    stdout: int
    stderr: int
    terminal: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """All that exec needs.

    Attributes:
        executable: a path; a relative one is looked up in the working folder.
        folder: the data folder.
        cwd: the working folder, from the data folder on.
        groups: the program's supplementary groups, where it has an account of its own.
        devices: pipes and terminals that it may open by their names.
        ports: the TCP ports that it may use.
        witness: a pipe of the program's account, which is made "executable" as the last thing before the exec: so it is
            known afterwards, should nobody be left to tell, whether there may have been one.
        cgroup: the control group to be in.
        rlimits: what `quix.supervisor.rlimits` is to set.
    """

    executable: bytes
    argv: list[bytes]
    env: dict[str, str]
    folder: str
    streams: Streams
    groups: Sequence[int] = ()
    cwd: str = "."
    devices: Sequence[str] = ()
    ports: Ports = Ports()
    witness: int | None = None
    cgroup: Cgroup | None = None
    rlimits: Sequence[tuple[int, int]] = ()


def spawn(plan: Plan, sandbox: Sandbox) -> int:
    """Execute a program in a session of its own; return its pid once it has been executed.

    The data folder becomes the working folder of the whole supervisor. Nothing is inherited but the three streams:
    every descriptor of the supervisor is closed on exec (PEP 446), and none of its signals is ignored.

    Raises:
        Refusal: it was not executed, and there is no process.
    """
    try:
        os.chdir(plan.folder)
    except OSError as error:
        raise Refusal(Reason.SPAWN_FAILED, f"{plan.folder}: {error.strerror}") from error
    # Limits, and groups of version 2, belong to a process: what is bound by them must be a process of the run's own.
    group = plan.cgroup
    needs_process = group is not None and group.is_bound and not group.takes_threads
    if not sandbox.shields_threads or needs_process or plan.rlimits:
        return _by_fork(plan, sandbox)
    pid = _by_thread(plan, sandbox)
    if group is not None and not group.takes_threads:
        group.take(pid)
    return pid


# -- by a thread ---------------------------------------------------------------------------------


class _Start:
    """What the thread does. `outcome` is the pid, or what was raised instead."""

    def __init__(self, plan: Plan, sandbox: Sandbox) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self.outcome: int | BaseException = Refusal(Reason.SPAWN_FAILED)

    def run(self) -> None:
        group = self._plan.cgroup
        try:
            if group is not None and group.takes_threads:
                group.join()
            _enter(self._plan, self._sandbox)
            self.outcome = _execute(self._plan)
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits for the thread
            self.outcome = error


def _by_thread(plan: Plan, sandbox: Sandbox) -> int:
    start = _Start(plan, sandbox)
    thread = threading.Thread(target=start.run, name="quix-spawn")
    try:
        thread.start()
    except RuntimeError as error:  # what threading makes of EAGAIN
        raise Refusal(Reason.LIMIT_REACHED, "the system allows no further process") from error
    thread.join()
    if isinstance(start.outcome, int):
        return start.outcome
    raise start.outcome


def _execute(plan: Plan) -> int:
    try:
        return os.posix_spawn(
            plan.executable, plan.argv, plan.env, file_actions=_actions(plan.streams), setsid=True, setsigmask=()
        )
    except OSError as error:
        raise _refusal(error, plan) from error


def _actions(streams: Streams) -> list[Any]:
    if streams.terminal:
        # The first terminal that the leader of a session opens becomes its controlling one (tty(4), open(2)).
        first: Any = (os.POSIX_SPAWN_OPEN, 0, streams.terminal, os.O_RDWR, 0)
        return [first, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    numbered = ((streams.stdin, 0), (streams.stdout, 1), (streams.stderr, 2))
    return [(os.POSIX_SPAWN_DUP2, descriptor, number) for descriptor, number in numbered]


# -- by a forked child ---------------------------------------------------------------------------


class _Report(Struct, array_like=True):
    """What a child says of its failure; where it was executed, it says nothing."""

    reason: str
    detail: str


def _by_fork(plan: Plan, sandbox: Sandbox) -> int:
    try:
        reading, writing = os.pipe()
    except OSError as error:
        raise _refusal(error, plan) from error
    try:
        pid = os.fork()
        if pid == 0:
            _become(plan, sandbox, writing)
    except OSError as error:
        os.close(reading)
        raise _refusal(error, plan) from error
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    if not said:
        return pid
    os.waitpid(pid, 0)
    report = msgspec.json.decode(said, type=_Report)
    raise Refusal(Reason[report.reason], report.detail)


def _become(plan: Plan, sandbox: Sandbox, pipe: int) -> NoReturn:
    """Turn the child into the program, or say why not. It must not get any further than here."""
    try:
        os.setsid()
        _take(plan.streams)
        if plan.cgroup is not None:
            plan.cgroup.join()
        _enter(plan, sandbox)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        rlimits.apply(plan.rlimits)
        try:
            os.execve(plan.executable, plan.argv, plan.env)
        except OSError as error:
            raise _refusal(error, plan) from error
    except Refusal as refusal:
        os.write(pipe, msgspec.json.encode(_Report(refusal.reason.name, refusal.detail)))
    except BaseException as error:  # noqa: BLE001 - said to the supervisor, which has the log
        os.write(pipe, msgspec.json.encode(_Report(Reason.SPAWN_FAILED.name, repr(error))))
    finally:
        os._exit(_NOT_EXECUTED)


def _take(streams: Streams) -> None:
    stdin = os.open(streams.terminal, os.O_RDWR) if streams.terminal else streams.stdin
    stdout, stderr = (stdin, stdin) if streams.terminal else (streams.stdout, streams.stderr)
    for number, descriptor in enumerate((stdin, stdout, stderr)):
        os.dup2(descriptor, number)


# -- by either -----------------------------------------------------------------------------------


def _enter(plan: Plan, sandbox: Sandbox) -> None:
    try:
        if plan.cwd != ".":
            kernel.unshare_folder()
        sandbox.enter(plan.groups, plan.devices, plan.ports)
    except OSError as error:
        if error.errno in _SCARCE:
            raise Refusal(Reason.LIMIT_REACHED, f"the system has no room for a sandbox: {error.strerror}") from error
        raise Refusal(
            Reason.SANDBOX_UNAVAILABLE, f"the kernel refused the sandbox: {error.strerror}; see --sandbox"
        ) from error
    # With the program's own rights, so that no link that a program left leads ours astray. A program can do without,
    # so a full disk is no reason not to start it.
    with contextlib.suppress(OSError):
        os.mkdir("tmp", 0o700)  # noqa: PTH102
    try:
        os.chdir(plan.cwd)
    except OSError as error:
        raise Refusal(Reason.REQUEST_INVALID, f"msg.options.cwd: {error.strerror}") from error
    if plan.witness is not None:
        os.fchmod(plan.witness, stat.S_IRWXU)


def _refusal(error: OSError, plan: Plan) -> Refusal:
    if error.errno in _SCARCE:
        return Refusal(Reason.LIMIT_REACHED, f"the system allows no further process: {error.strerror}")
    # Asked with the program's own rights, where the answer tells nothing that a program could not find out.
    exists = os.path.exists(plan.executable)  # noqa: PTH110
    return command.exec_refusal(error.errno or 0, plan.argv[0], exists=exists)
