"""From a plan to a program: fork, sandbox, exec.

        parent                                    child
    fork ---------------------------------------> own session, streams, folder, sandbox
    journal on disk                               |
    open the gate  -----------------------------> exec
    <--------- end of file (executed), or what failed

The child executes only once the gate opens, and the gate opens only once the run is on disk. Where the supervisor dies
in between, the gate closes and the child ends. Nothing here waits: the parent learns of the exec by watching the gate.

The child does little in Python, since all memory that it touches must be copied for it. That is why the supervisor's own
state is one to inherit: no signal is ignored or has a handler (`quix.supervisor.supervisor`), the umask is the usual one,
no core file is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Final, NoReturn

from msgspec import Struct

from quix.supervisor import command, kernel
from quix.supervisor.sandbox import Sandbox
from quix.wire.reasons import Reason, Refusal

_GO: Final = b"g"
_SETUP, _SANDBOX, _EXEC = "setup", "sandbox", "exec"
_NOT_EXECUTED: Final = 127

_OPEN_MAX: Final = os.sysconf("SC_OPEN_MAX")


class Streams(Struct, frozen=True):
    """The descriptors that become a program's standard input, output and error; each above 2."""

    stdin: int
    stdout: int
    stderr: int


class Plan(Struct, frozen=True, kw_only=True):
    """All that exec needs, found out before the fork.

    Attributes:
        executable: a path; a relative one is looked up in `folder`.
        groups: the program's supplementary groups, where it has an account of its own.
        lacks_tmp: whether `folder` has no `tmp` yet.
    """

    executable: bytes
    argv: list[bytes]
    env: dict[str, str]
    folder: str
    streams: Streams
    groups: list[int]
    lacks_tmp: bool


class Gate:
    """The parent's end of a start that is under way; readable once its outcome is known."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        return self._connection.fileno()

    def open(self) -> None:
        """Let the child execute. Where it is dead already, `outcome` tells."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send(_GO)

    def outcome(self, plan: Plan) -> Refusal | None:
        """Return why the program was not executed, or None where it was. Call it once, when readable."""
        try:
            report = self._connection.recv(100).decode()
        except ConnectionResetError:  # ended before it read what `open` sent
            return Refusal(Reason.SPAWN_FAILED, "it was ended before it was executed")
        if not report:
            return None
        stage, number, exists = report.split()
        return _refusal(stage, int(number), plan, exists=exists == "True")

    def close(self) -> None:
        """Forget the start; a child that still waits at the gate ends without having executed anything."""
        self._connection.close()


def start(plan: Plan, sandbox: Sandbox, rules: int | None) -> tuple[int, Gate]:
    """Fork a child that prepares itself and waits at the gate; return its pid and the gate.

    Raises:
        Refusal: LIMIT_REACHED or SPAWN_FAILED where there can be no further process.
    """
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:
        raise fork_refusal(error) from error
    try:
        pid = os.fork()
        if pid == 0:
            _become(plan, sandbox, rules, theirs.fileno())
    except OSError as error:
        ours.close()
        raise fork_refusal(error) from error
    finally:
        theirs.close()
    return pid, Gate(ours)


def _become(plan: Plan, sandbox: Sandbox, rules: int | None, gate: int) -> NoReturn:
    """Turn this process into the program, or report what failed; in the child."""
    stage = _SETUP
    try:
        _leave_supervisor(plan)
        stage = _SANDBOX
        sandbox.enter(rules, plan.groups)
        if plan.lacks_tmp:
            _make_tmp()
        if os.read(gate, 1) == _GO:
            os.closerange(3, gate)
            os.closerange(gate + 1, _OPEN_MAX)
            stage = _EXEC
            os.execve(plan.executable, plan.argv, plan.env)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(gate, f"{stage} {error.errno} {stage != _EXEC or _exists(plan.executable)}".encode())
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as a second supervisor
        os.write(gate, f"{stage} {errno.EINVAL} True".encode())
    finally:
        os._exit(_NOT_EXECUTED)


def _leave_supervisor(plan: Plan) -> None:
    kernel.unblock_signals()
    os.setsid()
    os.chdir(plan.folder)
    os.dup2(plan.streams.stdin, 0)
    os.dup2(plan.streams.stdout, 1)
    os.dup2(plan.streams.stderr, 2)


def _make_tmp() -> None:
    """Make the folder for temporary files, with the program's own rights: no link that a program left leads ours astray.

    A program can do without, so a full disk is no reason not to start it.
    """
    with contextlib.suppress(OSError):
        os.mkdir("tmp", 0o700)  # noqa: PTH102 - nothing may be loaded here


def _exists(path: bytes) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - nothing may be loaded here
    except OSError:
        return False
    return True


def _refusal(stage: str, number: int, plan: Plan, *, exists: bool) -> Refusal:
    if stage == _EXEC:
        return command.exec_refusal(number, plan.argv[0], exists=exists)
    if stage == _SANDBOX:
        return Refusal(Reason.SANDBOX_UNAVAILABLE, f"the kernel refused the sandbox: {os.strerror(number)}")
    return Refusal(Reason.SPAWN_FAILED, f"{plan.folder}: {os.strerror(number)}")


def fork_refusal(error: OSError) -> Refusal:
    """Return what it means that there is no further process or descriptor to be had."""
    if error.errno in (errno.EAGAIN, errno.EMFILE, errno.ENFILE):
        return Refusal(Reason.LIMIT_REACHED, f"the system allows no further process: {error.strerror}")
    return Refusal(Reason.SPAWN_FAILED, f"no new process: {error.strerror}")
