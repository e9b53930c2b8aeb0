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
import threading
from typing import Final, NoReturn

import msgspec
from msgspec import Struct

from quix.supervisor import command
from quix.supervisor.sandbox import Sandbox
from quix.wire.reasons import Reason, Refusal

_SCARCE: Final = (errno.EAGAIN, errno.EMFILE, errno.ENFILE)
_NOT_EXECUTED: Final = 127


class Streams(Struct, frozen=True):
    """The descriptors that become a program's standard input, output and error; each above 2."""

    stdin: int
    stdout: int
    stderr: int


class Plan(Struct, frozen=True, kw_only=True):
    """All that exec needs.

    Attributes:
        executable: a path; a relative one is looked up in `folder`.
        groups: the program's supplementary groups, where it has an account of its own.
    """

    executable: bytes
    argv: list[bytes]
    env: dict[str, str]
    folder: str
    streams: Streams
    groups: list[int]


def spawn(plan: Plan, sandbox: Sandbox) -> int:
    """Execute a program in a session of its own; return its pid once it has been executed.

    The working folder of the whole supervisor becomes the program's. Nothing else is inherited but the three streams:
    every descriptor of the supervisor is closed on exec (PEP 446), and none of its signals is ignored.

    Raises:
        Refusal: it was not executed, and there is no process.
    """
    try:
        os.chdir(plan.folder)
    except OSError as error:
        raise Refusal(Reason.SPAWN_FAILED, f"{plan.folder}: {error.strerror}") from error
    return _by_thread(plan, sandbox) if sandbox.shields_threads else _by_fork(plan, sandbox)


# -- by a thread ---------------------------------------------------------------------------------


class _Start:
    """What the thread does. `outcome` is the pid, or what was raised instead."""

    def __init__(self, plan: Plan, sandbox: Sandbox) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self.outcome: int | BaseException = Refusal(Reason.SPAWN_FAILED)

    def run(self) -> None:
        try:
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
    streams = plan.streams
    try:
        return os.posix_spawn(
            plan.executable,
            plan.argv,
            plan.env,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, streams.stdin, 0),
                (os.POSIX_SPAWN_DUP2, streams.stdout, 1),
                (os.POSIX_SPAWN_DUP2, streams.stderr, 2),
            ],
            setsid=True,
            setsigmask=(),
        )
    except OSError as error:
        raise _refusal(error, plan) from error


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
        for descriptor, number in zip(
            (plan.streams.stdin, plan.streams.stdout, plan.streams.stderr), range(3), strict=True
        ):
            os.dup2(descriptor, number)
        _enter(plan, sandbox)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
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


# -- by either -----------------------------------------------------------------------------------


def _enter(plan: Plan, sandbox: Sandbox) -> None:
    try:
        sandbox.enter(plan.groups)
    except OSError as error:
        raise Refusal(
            Reason.SANDBOX_UNAVAILABLE, f"the kernel refused the sandbox: {error.strerror}; see --sandbox"
        ) from error
    # With the program's own rights, so that no link that a program left leads ours astray. A program can do without,
    # so a full disk is no reason not to start it.
    with contextlib.suppress(OSError):
        os.mkdir("tmp", 0o700)  # noqa: PTH102


def _refusal(error: OSError, plan: Plan) -> Refusal:
    if error.errno in _SCARCE:
        return Refusal(Reason.LIMIT_REACHED, f"the system allows no further process: {error.strerror}")
    # Asked with the program's own rights, where the answer tells nothing that a program could not find out.
    exists = os.path.exists(plan.executable)  # noqa: PTH110
    return command.exec_refusal(error.errno or 0, plan.argv[0], exists=exists)
