"""From a plan to a program: a thread puts the sandbox on, and posix_spawn does the rest.

In Linux, credentials, Landlock domains and no_new_privs belong to a thread, not to a process (credentials(7),
landlock(7), prctl(2)). So a thread that lives for one start gives up everything that the program must not have; what it
then spawns inherits that, and the rest of the supervisor keeps what it had. That spares the fork: a child made by fork
first copies the page tables and then each page that it touches, and from Python that costs more than all the rest.
posix_spawn copies nothing (clone(2), CLONE_VFORK).

Until the exec, that thread and its child share the supervisor's memory while they bear the programs' uid. What other
programs of that uid could do to them in this moment, they are denied: the saved uid stays root's, so nobody may trace
them or set their limits (ptrace(2), prlimit(2): all three uids must be the caller's), and the Landlock domain keeps
signals out where the kernel knows how to (`Sandbox.describe` says where it does not). The exec itself ends all of it:
it copies the effective uid to the saved one and leaves a process without root uid no capability (execve(2),
capabilities(7)).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import Final

from msgspec import Struct

from quix.supervisor import command
from quix.supervisor.sandbox import Sandbox
from quix.wire.reasons import Reason, Refusal

_SCARCE: Final = (errno.EAGAIN, errno.EMFILE, errno.ENFILE)


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
    start = _Start(plan, sandbox)
    thread = threading.Thread(target=start.run, name="quix-spawn")
    try:
        os.chdir(plan.folder)
    except OSError as error:
        raise Refusal(Reason.SPAWN_FAILED, f"{plan.folder}: {error.strerror}") from error
    try:
        thread.start()
    except RuntimeError as error:  # what threading makes of EAGAIN
        raise Refusal(Reason.LIMIT_REACHED, "the system allows no further process") from error
    thread.join()
    if isinstance(start.outcome, int):
        return start.outcome
    raise start.outcome


class _Start:
    """One start; `outcome` is the pid, or what was raised instead."""

    def __init__(self, plan: Plan, sandbox: Sandbox) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self.outcome: int | BaseException = Refusal(Reason.SPAWN_FAILED)

    def run(self) -> None:
        """What the thread does; it is of no further use then."""
        try:
            self._enter_sandbox()
            self.outcome = self._execute()
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits for the thread
            self.outcome = error

    def _enter_sandbox(self) -> None:
        try:
            self._sandbox.enter(self._plan.groups)
        except OSError as error:
            raise Refusal(
                Reason.SANDBOX_UNAVAILABLE, f"the kernel refused the sandbox: {error.strerror}; see --sandbox"
            ) from error
        # With the program's own rights, so that no link that a program left leads ours astray. A program can do
        # without, so a full disk is no reason not to start it.
        with contextlib.suppress(OSError):
            os.mkdir("tmp", 0o700)  # noqa: PTH102

    def _execute(self) -> int:
        plan, streams = self._plan, self._plan.streams
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
            if error.errno in _SCARCE:
                raise Refusal(
                    Reason.LIMIT_REACHED, f"the system allows no further process: {error.strerror}"
                ) from error
            # Asked here, with the program's rights, where the answer tells nothing that a program could not find out.
            raise command.exec_refusal(
                error.errno or 0,
                plan.argv[0],
                exists=os.path.exists(plan.executable),  # noqa: PTH110
            ) from error
