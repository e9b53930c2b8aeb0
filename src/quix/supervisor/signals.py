"""Signals that hit what they are meant for, and nothing else.

A process is named by pid and start time, and signalled through a pidfd (pidfd_open(2)), which stays with the process
that it was opened for: a pid that was given to another process in the meantime is never hit.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Final, get_args

from quix.supervisor import log, proc
from quix.supervisor.proc import Stat
from quix.supervisor.protocol import SignalMode
from quix.wire.reasons import Reason, Refusal

Find = Callable[[], list[Stat]]
"""Looks for the living processes of one run, parents before children."""

NUMBERS: Final[dict[str, signal.Signals]] = {mode: signal.Signals[mode] for mode in get_args(SignalMode)}

_FREEZE_LIMIT: Final = 1.0
_KILL_LIMIT: Final = 2.0
_PAUSE: Final = 0.0005


def send(target: Stat, number: signal.Signals) -> None:
    """Signal one process; nothing happens where it has ended."""
    try:
        pidfd = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return
    try:
        # Asked after the pidfd was opened: from here on it cannot be another process any more.
        found = proc.stat(target.pid)
        if found is not None and found.start == target.start:
            signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
    except PermissionError:
        log.event("warning", "a program's process may not be signalled", pid=target.pid, comm=target.comm)
    finally:
        os.close(pidfd)


def send_to_program(pidfd: int, number: signal.Signals) -> None:
    """Signal a program itself. Raises Refusal(PID_UNKNOWN) where it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError as error:
        raise Refusal(Reason.PID_UNKNOWN) from error


def terminate(find: Find, number: signal.Signals = signal.SIGTERM) -> None:
    """Send SIGTERM, or another signal that asks to end, to every process of a run that exists at one moment.

    They are stopped while they are counted, so that none forks past the signal. What they start afterwards, in order to
    clean up, is left alone.
    """
    tree = freeze(find)
    _send_all(tree, number)
    _send_all(tree, signal.SIGCONT)


def kill(find: Find) -> bool:
    """Send SIGKILL to every process of a run until none is left; return whether none is.

    Stopped first, and looked for again and again: a process that forks while others die does not get away.
    """
    _send_all(freeze(find), signal.SIGKILL)
    deadline = time.monotonic() + _KILL_LIMIT
    while tree := find():
        if time.monotonic() > deadline:
            return False
        _send_all(tree, signal.SIGKILL)
        time.sleep(_PAUSE)
    return True


def freeze(find: Find) -> list[Stat]:
    """Stop every process of a run and return them, also those that were stopped before.

    Done when all that is found has been told, and nothing of it runs. A process inside the kernel (`D`) forks no more
    either: it stops before it returns.
    """
    told: set[tuple[int, int]] = set()
    deadline = time.monotonic() + _FREEZE_LIMIT
    while True:
        tree = find()
        fresh = [entry for entry in tree if entry.identity not in told]
        if not fresh and not any(entry.state in "RS" for entry in tree):
            return tree
        if time.monotonic() > deadline:
            log.event("warning", "a run's processes do not stop", pids=[entry.pid for entry in tree][:20])
            return tree
        _send_all(fresh, signal.SIGSTOP)
        told.update(entry.identity for entry in fresh)
        time.sleep(_PAUSE)


def _send_all(targets: Iterable[Stat], number: signal.Signals) -> None:
    for target in targets:
        send(target, number)
